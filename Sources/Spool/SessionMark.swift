// Remembers, over restarts, that the broker keeps a session for a client.

import Foundation

/// A file beside the spool: while it is there, a broker that knows no session has lost one.
public struct SessionMark: Sendable {
  private let place: SpoolPlace

  public init(directory: String, clientID: String) {
    place = SpoolPlace(directory: directory, clientID: clientID)
  }

  /// Whether a session was made and not ended.
  public var isSet: Bool { place.exists(place.session) }

  /// - Throws: ``SpoolError``: `.cannotOpen`, `.disk`.
  public func set() throws(SpoolError) {
    if isSet { return }
    try place.makeDirectory()
    try place.create(place.session)
  }

  /// The session was ended on purpose.
  public func remove() throws(SpoolError) { try place.remove(place.session) }
}
