# Compiler flags, and the functions that make a target of ours.

add_library(fmx_flags INTERFACE)
target_compile_features(fmx_flags INTERFACE c_std_17)
target_compile_definitions(fmx_flags INTERFACE _GNU_SOURCE)
target_include_directories(fmx_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_compile_options(fmx_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes
  -fno-common -fstack-protector-strong $<$<BOOL:${FMX_WERROR}>:-Werror>)
target_link_options(fmx_flags INTERFACE -Wl,-z,relro,-z,now)

if(FMX_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "FMX_FUZZ needs clang: cmake --preset fuzz.")
  endif()
  set(sanitizers -fsanitize=fuzzer-no-link,address,undefined)
elseif(FMX_SANITIZE)
  set(sanitizers -fsanitize=${FMX_SANITIZE})
endif()
if(DEFINED sanitizers)
  target_compile_options(fmx_flags INTERFACE
    ${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(fmx_flags INTERFACE ${sanitizers})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(fmx_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

# Objects carry machine code too, so that tests link fast and what is installed is plain.
set(FMX_LTO_LINK "")
set(FMX_NO_LTO_LINK "")
if(FMX_LTO)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(fmx_flags INTERFACE -flto=auto -ffat-lto-objects)
    set(FMX_LTO_LINK -flto=auto)
    set(FMX_NO_LTO_LINK -fno-lto)
  else()
    message(STATUS "FMX_LTO is done with gcc only; building without")
  endif()
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# fmx_library(NAME SOURCES file... [LIBS target...]): one layer, a static library of its own. Its
# objects also go into libfleetmux. A layer without sources yet is an empty one.
function(fmx_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT arg_SOURCES)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_LIBS})
    return()
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE fmx_flags PUBLIC ${arg_LIBS})
  set_property(GLOBAL APPEND PROPERTY FMX_LAYERS ${name})
endfunction()

# fmx_program(NAME SOURCES file... LIBS target... [LTO]): a program of ours
function(fmx_program name)
  cmake_parse_arguments(arg "LTO" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE fmx_flags ${arg_LIBS})
  target_link_options(${name} PRIVATE -Wl,--gc-sections)
  if(arg_LTO)
    target_link_options(${name} PRIVATE ${FMX_LTO_LINK})
  else()
    target_link_options(${name} PRIVATE ${FMX_NO_LTO_LINK})
  endif()
endfunction()
