/// What a device does with energy: the three kinds of reading, one target table each.
public enum ReadingKind: UInt8, Sendable, CaseIterable, Hashable {
  /// Energy that a producer fed in; `grid.energy_production`.
  case production
  /// Energy that a consumer used; `grid.energy_consumption`.
  case consumption
  /// Energy that a battery took up or gave back; `grid.storage_operations`.
  case storage

  /// The stable name in topics, metrics and dead letters.
  public var name: StaticString {
    switch self {
    case .production: "production"
    case .consumption: "consumption"
    case .storage: "storage"
    }
  }

  /// The kind that a topic level names, or nil.
  public init?(topicLevel level: Span<UInt8>) {
    for kind in ReadingKind.allCases where level.elementsEqual(kind.name) {
      self = kind
      return
    }
    return nil
  }
}

extension ReadingKind: CustomStringConvertible {
  public var description: String { "\(name)" }
}

/// What a battery did in the interval.
public enum StorageOperation: UInt8, Sendable, CaseIterable, Hashable {
  case charge
  case discharge

  /// The stable name, equal to `grid.storage_operations.operation_type`.
  public var name: StaticString {
    switch self {
    case .charge: "charge"
    case .discharge: "discharge"
    }
  }

  /// The operation with that name, or nil.
  public init?(name: Span<UInt8>) {
    for operation in StorageOperation.allCases where name.elementsEqual(operation.name) {
      self = operation
      return
    }
    return nil
  }
}
