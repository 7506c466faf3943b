// Targets with the faults that fuzzing looks for: the runner is tested with them.

import Synchronization

extension FuzzTarget {
  /// What it is given all the time, save for one word that mutation finds soon.
  private static func behaving(
    save fault: @escaping (_ input: [UInt8]) throws -> Void
  ) -> FuzzTarget {
    FuzzTarget(corpus: [Array("good words".utf8)], dictionary: ["bad"]) { input in
      if input.starts(with: Array("bad".utf8)) { try fault(input) }
      return input.count
    }
  }

  static func crashing() -> FuzzTarget {
    behaving { input in preconditionFailure("met \(input.count) bytes") }
  }

  static func wrong() -> FuzzTarget { behaving { _ in throw FuzzFinding("it is wrong") } }

  static func hanging() -> FuzzTarget {
    let waited = Atomic(0)
    return behaving { _ in
      while true { waited.add(1, ordering: .relaxed) }
    }
  }

  static func hoarding() -> FuzzTarget {
    var hoard: [[UInt8]] = []
    return FuzzTarget(corpus: [[1]], dictionary: ["2"]) { input in
      hoard.append(Array(repeating: UInt8(hoard.count & 0xFF), count: 16 << 10))
      return input.count
    }
  }
}
