// Instructions that this thread executed, as the processor counts them.
#pragma once
#include <stdint.h>

// Begins to count the calling thread's instructions outside the kernel. Returns a file descriptor,
// or -1 where the machine or its rights give no counter.
int instruction_counter_open(void);

// Instructions since the counter was opened.
uint64_t instruction_counter_read(int counter);
