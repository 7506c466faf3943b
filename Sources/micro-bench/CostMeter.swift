// What a piece of work costs: CPU time, instructions and heap allocations.

import CAllocationCount
import CInstructionCount
import Glibc

/// What one run of a step cost.
struct Costs {
  /// CPU time of the thread.
  var nanoseconds: Int
  /// Instructions outside the kernel; nil where the machine does not count them.
  var instructions: UInt64?
  /// Calls of malloc and its kin, on all threads.
  var allocations: UInt64
}

/// Reads the counters around a piece of work. Belongs to the thread that made it.
struct CostMeter {
  private let counter: Int32?

  init() {
    let opened = instruction_counter_open()
    counter = opened < 0 ? nil : opened
  }

  func costs(of work: () -> Void) -> Costs {
    let allocations = allocation_count()
    let before = counter.map(instruction_counter_read)
    let start = threadNanoseconds()
    work()
    let nanoseconds = threadNanoseconds() - start
    let after = counter.map(instruction_counter_read)
    return Costs(
      nanoseconds: nanoseconds,
      instructions: before.flatMap { before in after.map { $0 - before } },
      allocations: allocation_count() - allocations)
  }

  /// Whether an allocation is seen at all: a linker that put glibc's malloc first would make every
  /// step look free.
  func seesAllocations() -> Bool {
    let costs = costs {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 4_096, alignment: 16)
      use(memory)
      memory.deallocate()
    }
    return costs.allocations == 1
  }

  /// An allocation that nobody uses may be left out by the optimiser.
  @inline(never) private func use(_ memory: UnsafeMutableRawPointer) {
    memory.storeBytes(of: 1, as: UInt8.self)
  }

  /// Neighbours on the machine count as little as they can.
  private func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
