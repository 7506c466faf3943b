// Stands in the place of fsync(2) and fdatasync(2): the dynamic linker looks into the program before it
// looks into libc.
#define _GNU_SOURCE
#include "CSyncCount.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_ulong count;

unsigned long csc_count(void) { return atomic_load(&count); }

int fsync(int file) {
  atomic_fetch_add(&count, 1);
  return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
  atomic_fetch_add(&count, 1);
  return (int)syscall(SYS_fdatasync, file);
}
