# libfleetmux from the objects of all layers: static, shared, and what is installed.
#
#   fleetmux_static   plain archive; the command, tests and benchmarks link it
#   fleetmux_shared   libfleetmux.so; exports what is marked FMX_API, nothing of BoringSSL
#   libfleetmux.a     installed: one object with BoringSSL inside and every other name local, so
#                     that a program may link OpenSSL beside it

get_property(layers GLOBAL PROPERTY FMX_LAYERS)
set(objects "")
foreach(layer IN LISTS layers)
  list(APPEND objects $<TARGET_OBJECTS:${layer}>)
endforeach()
if(NOT objects)
  add_library(fleetmux_static INTERFACE)
  return()
endif()

set(version_script ${PROJECT_SOURCE_DIR}/include/fleetmux.map)
set(private_libs BoringSSL::ssl BoringSSL::crypto)
set(system_libs PkgConfig::URING PkgConfig::SQLITE PkgConfig::JSONC Threads::Threads m)

add_library(fleetmux_static STATIC ${objects})
set_target_properties(fleetmux_static PROPERTIES
  LINKER_LANGUAGE C OUTPUT_NAME fleetmux_layers)
target_include_directories(fleetmux_static INTERFACE ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(fleetmux_static INTERFACE ${private_libs} ${system_libs})

if(FMX_FUZZ OR FMX_SANITIZE)
  return() # nothing of these builds is installed
endif()

add_library(fleetmux_shared SHARED ${objects})
set_target_properties(fleetmux_shared PROPERTIES
  LINKER_LANGUAGE C OUTPUT_NAME fleetmux EXPORT_NAME fleetmux
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS ${version_script})
target_include_directories(fleetmux_shared INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(fleetmux_shared PRIVATE fmx_flags ${private_libs} ${system_libs})
target_link_options(fleetmux_shared PRIVATE ${FMX_LTO_LINK}
  -Wl,--version-script=${version_script} -Wl,--exclude-libs,ALL -Wl,--no-undefined
  -Wl,--gc-sections)

if(FMX_BORINGSSL_STATIC)
  set(folder ${PROJECT_BINARY_DIR}/install)
  set(bundle ${folder}/libfleetmux.a)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${bundle}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -fno-lto -o ${folder}/all.o
      -Wl,--whole-archive $<TARGET_FILE:fleetmux_static> -Wl,--no-whole-archive
      $<TARGET_PROPERTY:BoringSSL::ssl,IMPORTED_LOCATION>
      $<TARGET_PROPERTY:BoringSSL::crypto,IMPORTED_LOCATION>
      -Wl,--force-group-allocation
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden --wildcard --remove-section=.gnu.lto_*
      --remove-section=.gnu.debuglto_* ${folder}/all.o ${folder}/fleetmux.o
    COMMAND ${CMAKE_COMMAND} -E rm -f ${bundle} ${folder}/all.o
    COMMAND ${CMAKE_AR} rcs ${bundle} ${folder}/fleetmux.o
    DEPENDS fleetmux_static VERBATIM COMMENT "Joining libfleetmux.a")
  add_custom_target(fleetmux_bundle ALL DEPENDS ${bundle})
  install(FILES ${bundle} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

install(TARGETS fleetmux_shared EXPORT fleetmux-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/fleetmux DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN private EXCLUDE)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/fleetmux)
install(EXPORT fleetmux-targets NAMESPACE fleetmux:: DESTINATION ${package})
configure_package_config_file(cmake/fleetmux-config.cmake.in fleetmux-config.cmake
  INSTALL_DESTINATION ${package}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(fleetmux-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fleetmux-config.cmake
  ${PROJECT_BINARY_DIR}/fleetmux-config-version.cmake DESTINATION ${package})
# the file finds its prefix from where it lies, so that an installed tree may be moved
set(pc_folder ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_up ${pc_folder} ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/fleetmux.pc.in fleetmux.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fleetmux.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(section 1 3 5 7)
  file(GLOB pages ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()
