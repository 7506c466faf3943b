// Counts how often this process asks the kernel to bring a file to the disk: what a test of durability
// can see without pulling the plug.
#pragma once

// Calls of fsync(2) and fdatasync(2) so far.
unsigned long csc_count(void);
