// What the vendor calls a device, and the id that it is registered by.

import EnergyReadings

/// A table from names to ids; looked up by bytes, without an allocation.
final class DeviceNames: Sendable {
  private let texts: ByteArena
  /// Name and id; absent where the slot is free. A power of two, at most half full.
  private let slots: [(name: ByteSlice, id: ByteSlice)]

  init(_ names: [String: String]) {
    var texts = ByteArena()
    var size = 4
    while size < 2 * names.count { size *= 2 }
    var slots = [(name: ByteSlice, id: ByteSlice)](repeating: (.absent, .absent), count: size)
    for (name, id) in names.sorted(by: { $0.key < $1.key }) {
      // The table is the operator's own, so that nobody chooses names to collide.
      var slot = Int(truncatingIfNeeded: name.utf8.span.hash(seed: 0)) & (size - 1)
      while slots[slot].name.isPresent { slot = (slot + 1) & (size - 1) }
      slots[slot] = (texts.append(name.utf8.span), texts.append(id.utf8.span))
    }
    self.texts = texts
    self.slots = slots
  }

  /// Whether a name is in the table.
  func contains(_ name: ByteSlice, in arena: borrowing ByteArena) -> Bool {
    slot(of: name, in: arena) != nil
  }

  /// The id that a name stands for, copied to the end of the arena; nil where it is not in the table.
  func id(for name: ByteSlice, in arena: inout ByteArena) -> ByteSlice? {
    guard let slot = slot(of: name, in: arena) else { return nil }
    return arena.append(slots[slot].id, from: texts)
  }

  private func slot(of name: ByteSlice, in arena: borrowing ByteArena) -> Int? {
    var slot = Int(truncatingIfNeeded: arena[name].hash(seed: 0)) & (slots.count - 1)
    while slots[slot].name.isPresent {
      if texts.holds(slots[slot].name, equalTo: name, of: arena) { return slot }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }
}

extension ByteArena {
  /// Whether a slice of this arena has the same bytes as one of another.
  func holds(_ slice: ByteSlice, equalTo other: ByteSlice, of arena: borrowing ByteArena) -> Bool {
    self[slice].elementsEqual(arena[other])
  }
}

extension Span where Element == UInt8 {
  /// Why no column holds these bytes as a name; nil where one does.
  var problemAsName: StaticString? {
    var isASCII = true
    for index in indices {
      if self[index] < 0x20 || self[index] == 0x7F { return "has a control character" }
      if self[index] > 0x7F { isASCII = false }
    }
    if isASCII { return nil }
    return withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) == nil }
      ? "is not UTF-8" : nil
  }
}

/// Where the name of a device stands.
enum DeviceOrigin: Sendable {
  /// In the topic, or fixed.
  case topic(TextTemplate)
  /// In the payload, at a pointer.
  case payload(JSONPointer)
  /// Where the format has it: Shelly's `src`, SenML's base name, a telegram's equipment identifier.
  case format
}

extension SourcedMessage {
  /// The registered id of the device.
  ///
  /// - Parameters:
  ///   - own: what the payload itself calls the device, where the format has a place for that.
  ///   - part: the part of the device that is looked at, such as `switch:1`: `<name>/<part>` may be
  ///     registered as a device of its own.
  /// - Throws: where there is no name, or none that a column could hold.
  func device(
    own: ByteSlice = .absent, part: ByteSlice = .absent, with parser: JSONParser,
    in arena: inout ByteArena
  ) throws(Rejection) -> ByteSlice {
    let name: ByteSlice
    switch source.device {
    // Such as the topics of a node's own metrics, which name no device of it.
    case .topic(let template) where own.isPresent && !template.isWithin(levels):
      name = own
      try check(name, at: "$", in: arena)
    case .topic(let template):
      name = template.text(levels, in: &arena)
      try check(name, at: "topic", in: arena)
    case .payload(let pointer):
      guard let node = pointer.find(in: parser, &arena), node.kind != .null else {
        throw Rejection(.missingField, path: pointer.path, detail: "it names the device")
      }
      guard node.kind == .string || node.kind == .number else {
        throw Rejection(.wrongType, path: pointer.path, detail: "expected the device's name")
      }
      name = parser.text(of: node, in: &arena)
      try check(name, at: pointer.path, in: arena)
    case .format:
      guard own.isPresent else {
        throw Rejection(
          .missingField, path: "$",
          detail: "the payload names no device; set `device` or capture {device} in the topic")
      }
      name = own
      try check(name, at: "$", in: arena)
    }
    guard let names = source.names else { return name }
    if part.isPresent {
      let start = arena.append(name)
      _ = arena.append("/")
      _ = arena.append(part)
      let whole = ByteSlice(offset: Int(start.offset), count: arena.count - Int(start.offset))
      if let id = names.id(for: whole, in: &arena) { return id }
    }
    return names.id(for: name, in: &arena) ?? name
  }

  private func check(
    _ name: ByteSlice, at path: String, in arena: borrowing ByteArena
  ) throws(Rejection) {
    let bytes = arena[name]
    if bytes.count == 0 {
      throw Rejection(.missingField, path: path, detail: "the device id is empty")
    }
    if bytes.count > 100, bytes.characterCount > 100 {
      throw Rejection(
        .outOfRange, path: path, detail: "the device id has more than 100 characters")
    }
    if let problem = bytes.problemAsName {
      throw Rejection(.outOfRange, path: path, detail: "the device id \(problem)")
    }
  }
}
