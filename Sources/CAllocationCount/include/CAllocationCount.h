// How often the process asked for heap memory. Only for an executable that measures: linking this
// replaces the allocator's entry points of the whole process.
#pragma once
#include <stdint.h>

// Calls of malloc, calloc, realloc and their aligned kin since the start, on all threads.
uint64_t allocation_count(void);
