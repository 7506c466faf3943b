// Whether the program can do its work now, and if not, what is missing.

import Synchronization

/// The components that must all be well before readings can be taken and stored; `/readyz`.
///
/// A component is set from the thread that knows; reading takes the same short lock.
public final class Readiness: Sendable {
  /// A component and, when it fails, why.
  public struct Component: Sendable, Hashable {
    public let name: String
    /// nil when it is well; else one sentence that says what is wrong and where.
    public let failure: String?
    public var isReady: Bool { failure == nil }
  }

  private let states: Mutex<[Component]>

  /// - Parameter components: names such as `postgres`, `mqtt`, `schema`; each is failing with
  ///   "not checked yet" until it is set.
  public init(components: [String]) {
    states = Mutex(components.map { Component(name: $0, failure: "not checked yet") })
  }

  /// Says that a component is well. An unknown name becomes one more component.
  public func ok(_ name: String) { set(Component(name: name, failure: nil)) }

  /// Says what is wrong with a component. Line breaks become blanks: `/readyz` has one line each.
  public func failing(_ name: String, _ sentence: String) {
    let line = sentence.split(whereSeparator: \.isNewline).joined(separator: " ")
    set(Component(name: name, failure: line.isEmpty ? "failing" : line))
  }

  /// All components, in the order in which they were named.
  public var components: [Component] { states.withLock { $0 } }

  /// Whether all components are well.
  public var isReady: Bool { components.allSatisfy(\.isReady) }

  private func set(_ component: Component) {
    states.withLock { states in
      if let index = states.firstIndex(where: { $0.name == component.name }) {
        states[index] = component
      } else {
        states.append(component)
      }
    }
  }
}
