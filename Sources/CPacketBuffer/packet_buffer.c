// Answers libmosquitto's read(2) and write(2) from a buffer.
//
// The functions below take the place of libc's for the whole process: the dynamic linker looks into the
// program before it looks into libc. Where it does not (a libmosquitto that is linked statically), they
// are never called, the buffer stays empty, and everything works at the old price.
#define _GNU_SOURCE
#include "CPacketBuffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// As much as the kernel hands over for a socket at a time, and some 300 messages of one reading.
enum { CAPACITY = 65536 };

struct cpb_buffer {
  int socket;
  bool gathers;
  size_t read_from, read_to;
  size_t written_from, written_to;
  uint8_t ahead[CAPACITY];
  uint8_t gathered[CAPACITY];
};

static _Thread_local cpb_buffer *entered;

cpb_buffer *cpb_new(void) {
  cpb_buffer *buffer = malloc(sizeof *buffer);
  if (buffer != NULL) cpb_reset(buffer, -1);
  return buffer;
}

void cpb_free(cpb_buffer *buffer) {
  if (entered == buffer) entered = NULL;
  free(buffer);
}

void cpb_reset(cpb_buffer *buffer, int socket) {
  buffer->socket = socket;
  buffer->gathers = false;
  buffer->read_from = buffer->read_to = 0;
  buffer->written_from = buffer->written_to = 0;
}

void cpb_enter(cpb_buffer *buffer, bool gathers) {
  buffer->gathers = gathers;
  entered = buffer;
}

void cpb_leave(void) { entered = NULL; }

int cpb_flush(cpb_buffer *buffer) {
  while (buffer->written_from < buffer->written_to) {
    const ssize_t sent =
        send(buffer->socket, buffer->gathered + buffer->written_from,
             buffer->written_to - buffer->written_from, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -1;
    buffer->written_from += (size_t)sent;
  }
  buffer->written_from = buffer->written_to = 0;
  return 0;
}

// The sanitizers watch read and write with functions of the same names.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CPB_PASSIVE
#endif
#endif

#ifdef CPB_PASSIVE

bool cpb_is_active(void) { return false; }

#else

bool cpb_is_active(void) { return true; }

ssize_t read(int socket, void *destination, size_t count) {
  cpb_buffer *buffer = entered;
  if (buffer == NULL || buffer->socket != socket)
    return syscall(SYS_read, socket, destination, count);
  if (buffer->read_from == buffer->read_to) {
    // A body that fills the buffer is read where it is wanted.
    if (count >= CAPACITY) return syscall(SYS_read, socket, destination, count);
    const ssize_t got = syscall(SYS_read, socket, buffer->ahead, CAPACITY);
    if (got <= 0) return got;
    buffer->read_from = 0;
    buffer->read_to = (size_t)got;
  }
  const size_t unread = buffer->read_to - buffer->read_from;
  if (count > unread) count = unread;
  memcpy(destination, buffer->ahead + buffer->read_from, count);
  buffer->read_from += count;
  return (ssize_t)count;
}

ssize_t write(int socket, const void *source, size_t count) {
  cpb_buffer *buffer = entered;
  if (buffer == NULL || buffer->socket != socket || !buffer->gathers)
    return syscall(SYS_write, socket, source, count);
  // What does not fit goes after what is there: the order of packets must stay.
  if (buffer->written_to + count > CAPACITY) {
    if (cpb_flush(buffer) != 0) return -1;
    if (count > CAPACITY) return syscall(SYS_write, socket, source, count);
  }
  memcpy(buffer->gathered + buffer->written_to, source, count);
  buffer->written_to += count;
  return (ssize_t)count;
}

#endif
