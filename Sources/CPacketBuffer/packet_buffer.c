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
  int bell;  // of the library, -1 while it is not known
  cpb_writing writing;
  bool has_written;
  size_t read_from, read_to;
  size_t written_from, written_to;
  size_t room;  // bytes of `gathered`
  uint8_t *gathered;
  uint8_t ahead[CAPACITY];
};

static _Thread_local cpb_buffer *entered;

cpb_buffer *cpb_new(void) {
  cpb_buffer *buffer = malloc(sizeof *buffer);
  if (buffer == NULL) return NULL;
  buffer->room = CAPACITY;
  buffer->gathered = malloc(CAPACITY);
  if (buffer->gathered == NULL) {
    free(buffer);
    return NULL;
  }
  cpb_reset(buffer, -1);
  return buffer;
}

void cpb_free(cpb_buffer *buffer) {
  if (entered == buffer) entered = NULL;
  free(buffer->gathered);
  free(buffer);
}

void cpb_reset(cpb_buffer *buffer, int socket) {
  buffer->socket = socket;
  buffer->bell = -1;
  buffer->writing = CPB_PASS;
  buffer->has_written = false;
  buffer->read_from = buffer->read_to = 0;
  buffer->written_from = buffer->written_to = 0;
}

void cpb_enter(cpb_buffer *buffer, cpb_writing writing) {
  buffer->writing = writing;
  entered = buffer;
}

void cpb_leave(void) { entered = NULL; }

bool cpb_has_written(const cpb_buffer *buffer) { return buffer->has_written; }

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

// Makes room for `count` more bytes that are held.
static bool grow(cpb_buffer *buffer, size_t count) {
  size_t room = buffer->room;
  while (room - buffer->written_to < count) room *= 2;
  uint8_t *larger = realloc(buffer->gathered, room);
  if (larger == NULL) return false;
  buffer->gathered = larger;
  buffer->room = room;
  return true;
}

// For each packet that is queued, libmosquitto writes a zero to one end of a socket pair, to wake a
// thread of its own (packet__queue, lib/packet_mosq.c of 2.0.11). There is none, and nobody reads.
static bool is_bell(cpb_buffer *buffer, int socket, const void *source, size_t count) {
  if (count != 1 || *(const char *)source != 0) return false;
  if (buffer->bell == socket) return true;
  int domain = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX)
    return false;
  buffer->bell = socket;
  return true;
}

ssize_t write(int socket, const void *source, size_t count) {
  cpb_buffer *buffer = entered;
  if (buffer == NULL) return syscall(SYS_write, socket, source, count);
  if (buffer->socket != socket) {
    if (is_bell(buffer, socket, source, count)) return 1;
    return syscall(SYS_write, socket, source, count);
  }
  buffer->has_written = true;
  const bool is_empty = buffer->written_from == buffer->written_to;
  // What does not fit goes after what is there: the order of packets must stay.
  if (buffer->writing == CPB_GATHER && buffer->written_to + count > buffer->room) {
    if (cpb_flush(buffer) != 0) return -1;
    if (count > buffer->room) return syscall(SYS_write, socket, source, count);
  }
  if (buffer->writing == CPB_PASS && is_empty) return syscall(SYS_write, socket, source, count);
  if (buffer->room - buffer->written_to < count && !grow(buffer, count)) return -1;
  memcpy(buffer->gathered + buffer->written_to, source, count);
  buffer->written_to += count;
  return (ssize_t)count;
}

#endif
