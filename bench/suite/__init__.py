"""suite — what bench/run is made of; METHOD.md says what is measured, and how"""
