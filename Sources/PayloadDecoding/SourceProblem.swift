// What is wrong with a source of the configuration.

/// A source that cannot be used, in words for whoever wrote it.
public struct SourceProblem: Error, Equatable, Sendable, CustomStringConvertible {
  /// The key of the source that is wrong; empty where it is the source as a whole.
  public var key: String
  /// What is wrong and what is allowed.
  public var problem: String

  public init(_ key: String, _ problem: String) {
    self.key = key
    self.problem = problem
  }

  public var description: String { key.isEmpty ? problem : "\(key): \(problem)" }
}
