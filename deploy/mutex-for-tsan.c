/* Tells the thread sanitizer of the slow way into and out of Swift's Mutex. `deploy/test --sanitize
   thread` builds it and loads it before everything else.

   The quick way is compiled into whoever locks, and watched there. A lock that is waited for is taken
   within libswiftSynchronization, which nobody watches: all that it protects would look like a race
   (Swift 6.3, stdlib/public/Synchronization/Mutex/LinuxImpl.swift). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

/* Not there in programs that are not ours, which inherit the library and never call it. */
extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void lock_slow(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *);

__attribute__((swiftcall)) void watched_lock_slow(
    uint32_t, __attribute__((swift_context)) void *) __asm__(LOCK_SLOW);
__attribute__((swiftcall)) void watched_unlock_slow(
    __attribute__((swift_context)) void *) __asm__(UNLOCK_SLOW);

__attribute__((swiftcall)) void watched_lock_slow(
    uint32_t thread, __attribute__((swift_context)) void *mutex) {
  ((lock_slow *)dlsym(RTLD_NEXT, LOCK_SLOW))(thread, mutex);
  if (__tsan_acquire) __tsan_acquire(mutex);
}

__attribute__((swiftcall)) void watched_unlock_slow(
    __attribute__((swift_context)) void *mutex) {
  if (__tsan_release) __tsan_release(mutex);
  ((unlock_slow *)dlsym(RTLD_NEXT, UNLOCK_SLOW))(mutex);
}
