// A buffer between libmosquitto and its socket.
//
// libmosquitto asks the kernel for each packet three times (header byte, length byte, body) and hands
// it every acknowledgement alone: for messages of one reading, system calls are four fifths of a
// subscriber's time. Its read(2) and write(2) are therefore answered here, for the socket of a buffer
// that the calling thread has entered, and what the library writes to wake a thread of its own, which
// does not exist, is dropped; all other calls of the process pass through to the kernel.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpb_buffer cpb_buffer;

// A buffer for one socket; NULL without memory.
cpb_buffer *cpb_new(void);
void cpb_free(cpb_buffer *buffer);

// Whether this build answers read(2) and write(2); one that a sanitizer watches does not.
bool cpb_is_active(void);

// Forgets what it holds: a new connection begins.
void cpb_reset(cpb_buffer *buffer, int socket);

// What happens to packets that are written.
typedef enum {
  CPB_PASS,    // they go to the kernel, but never before what is held
  CPB_GATHER,  // they stay in the buffer until cpb_flush, or until it is full
  CPB_HOLD     // they stay in the buffer until cpb_flush, however many
} cpb_writing;

// Until cpb_leave, the calling thread's reads from the socket are answered from the buffer, which reads
// ahead, and its writes as `writing` says. A thread is in one buffer at a time, and all reads of the
// socket happen within.
void cpb_enter(cpb_buffer *buffer, cpb_writing writing);
void cpb_leave(void);

// Whether writes to this socket have reached the buffer, so that it can hold them.
bool cpb_has_written(const cpb_buffer *buffer);

// Hands the kernel what was gathered. Returns 0 when all is sent, or -1 with errno: after EAGAIN, call
// it again once the socket takes more.
int cpb_flush(cpb_buffer *buffer);

#ifdef __cplusplus
}
#endif
