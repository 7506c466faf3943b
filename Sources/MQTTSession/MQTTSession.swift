// One MQTT session driven by hand on one thread, so that acknowledgements leave when its owner says
// so: libmosquitto answers a QoS 1 message by itself before the callback, but in threaded mode the
// PUBACK is only queued, and leaves with `mosquitto_loop_write` (lib/handle_publish.c, packet_mosq.c
// of 2.0.11). That is an internal detail; a test pins it.

import CMosquitto
import CPacketBuffer
import Glibc

/// A message that the callback lends.
public struct ReceivedMessage: ~Copyable {
  public let topic: UnsafeRawBufferPointer
  public let payload: UnsafeRawBufferPointer
  public let isRetained: Bool
}

/// What happened to the connection since the last look.
public enum MQTTEvent: Sendable, Equatable {
  /// The broker took the connection; whether it had kept the session.
  case connected(sessionPresent: Bool)
  /// The connection ended.
  case disconnected(reason: String)
  /// The broker answered a subscription with these QoS levels; 128 and above are refusals.
  case subscribed(grantedQoS: [Int32])
}

/// A session; use it from one thread only.
public final class MQTTSession {
  private var raw: OpaquePointer?
  /// Between the library and the socket: a system call for many packets.
  private let buffer: OpaquePointer
  /// Whether the last ``receive(while:)`` stopped before it had seen all that has arrived: the rest
  /// may be in a buffer already, here or in the TLS library, and poll(2) would not tell of it.
  private var holdsMore = false
  /// Messages received.
  private var messages = 0
  /// The socket's SO_RCVLOWAT.
  private var lowWaterMark: Int32 = 1
  public let settings: MQTTSettings
  private var events: [MQTTEvent] = []
  /// Called for each message within ``receive(while:)``.
  public var onMessage: ((borrowing ReceivedMessage) -> Void)?
  /// Called for each message of ours that the broker has acknowledged.
  public var onPublished: ((Int32) -> Void)?
  /// Called instead for each that the broker acknowledged and nobody was subscribed to (MQTT 5,
  /// reason 0x10), so that it was thrown away; where nil, ``onPublished`` is.
  public var onUnheard: ((Int32) -> Void)?
  /// Called for each subscription that the broker has ended, with the id that ``unsubscribe(_:)`` gave.
  public var onUnsubscribed: ((Int32) -> Void)?
  public private(set) var isConnected = false
  /// What the broker said of itself when it took the connection.
  public private(set) var terms = BrokerTerms()
  /// The broker's words, when it turned the client away.
  private var refusal: String?
  /// Whether the broker took the present connection, or took it before it was lost.
  private var wasTaken = false
  /// Why the broker ended the connection: a reason code of MQTT 5.
  private var farewell: Int32?
  /// Subscriptions whose answers nobody waits for.
  private var quietSubscriptions: Set<Int32> = []
  /// The library's own words about a TLS handshake that failed.
  private var tlsComplaint: String?

  /// Prepares a session; ``connect()`` opens it.
  public init(_ settings: MQTTSettings) throws(MQTTError) {
    _ = MQTTSession.isLibraryReady
    self.settings = settings
    guard let buffer = cpb_new() else { preconditionFailure("no memory for a session") }
    self.buffer = buffer
    raw = mosquitto_new(settings.clientID, settings.cleanStart, nil)
    guard raw != nil else { throw failure("create a session", MOSQ_ERR_NOMEM.rawValue) }
    try configure()
  }

  deinit {
    mosquitto_destroy(raw)
    cpb_free(buffer)
  }

  private static let isLibraryReady: Bool = {
    mosquitto_lib_init()
    // A broker that hangs up must be an error, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    return true
  }()

  private func configure() throws(MQTTError) {
    // Unretained: the session owns `raw` and outlives its callbacks.
    mosquitto_user_data_set(raw, Unmanaged.passUnretained(self).toOpaque())
    // Queues packets until `mosquitto_loop_write`: this is what holds the acknowledgements.
    try check(mosquitto_threaded_set(raw, true), "configure")
    let version = settings.isVersion5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
    try check(mosquitto_int_option(raw, MOSQ_OPT_PROTOCOL_VERSION, version), "configure")
    try check(
      mosquitto_int_option(raw, MOSQ_OPT_RECEIVE_MAXIMUM, Int32(settings.receiveMaximum)),
      "configure")
    try check(mosquitto_int_option(raw, MOSQ_OPT_SEND_MAXIMUM, 65_535), "configure")
    try check(mosquitto_int_option(raw, MOSQ_OPT_TCP_NODELAY, 1), "configure")
    if let user = settings.userName {
      try check(mosquitto_username_pw_set(raw, user, settings.password), "set the user name")
    }
    if let tls = settings.tls { try configure(tls) }
    if let topic = settings.statusTopic {
      let will = Array("offline".utf8)
      try check(mosquitto_will_set(raw, topic, Int32(will.count), will, 1, true), "set the will")
    }
    installCallbacks()
  }

  private func configure(_ tls: MQTTSettings.TLS) throws(MQTTError) {
    if tls.authorityFile == nil {
      try check(mosquitto_int_option(raw, MOSQ_OPT_TLS_USE_OS_CERTS, 1), "trust the system's CAs")
    }
    try check(
      mosquitto_tls_set(
        raw, tls.authorityFile, tls.authorityFile == nil ? "/etc/ssl/certs" : nil,
        tls.certificateFile, tls.keyFile, nil),
      "read the TLS files \(tls.authorityFile ?? "") \(tls.certificateFile ?? "")")
  }

  private func installCallbacks() {
    mosquitto_connect_v5_callback_set(raw) { _, context, code, flags, properties in
      MQTTSession.from(context)?.terms = BrokerTerms(properties)
      MQTTSession.from(context)?.connected(code: code, flags: flags)
    }
    mosquitto_disconnect_v5_callback_set(raw) { _, context, code, _ in
      MQTTSession.from(context)?.disconnected(code: code)
    }
    mosquitto_message_v5_callback_set(raw) { _, context, message, _ in
      guard let message else { return }
      MQTTSession.from(context)?.received(message.pointee)
    }
    mosquitto_publish_v5_callback_set(raw) { _, context, id, reason, _ in
      guard let session = MQTTSession.from(context) else { return }
      let isUnheard = reason == Int32(MQTT_RC_NO_MATCHING_SUBSCRIBERS.rawValue)
      let told = isUnheard ? session.onUnheard ?? session.onPublished : session.onPublished
      told?(id)
    }
    mosquitto_subscribe_v5_callback_set(raw) { _, context, id, count, granted, _ in
      guard let granted, let session = MQTTSession.from(context),
        session.quietSubscriptions.remove(id) == nil
      else { return }
      let levels = (0..<Int(count)).map { granted[$0] }
      session.events.append(.subscribed(grantedQoS: levels))
    }
    mosquitto_unsubscribe_v5_callback_set(raw) { _, context, id, _ in
      MQTTSession.from(context)?.onUnsubscribed?(id)
    }
  }

  /// The library gives the reason of a failed handshake to its log only. It is heard until the broker
  /// has answered: while it is, every packet costs a line.
  private func listenForTLSComplaints() {
    tlsComplaint = nil
    guard settings.tls != nil else { return }
    mosquitto_log_callback_set(raw) { _, context, level, text in
      guard level == MOSQ_LOG_ERR, let text else { return }
      MQTTSession.from(context)?.tlsComplaint = String(cString: text)
    }
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> MQTTSession? {
    context.map { Unmanaged<MQTTSession>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: What the library tells

  private func connected(code: Int32, flags: Int32) {
    if code == 0 {
      mosquitto_log_callback_set(raw, nil)
      isConnected = true
      wasTaken = true
      events.append(.connected(sessionPresent: flags & 1 == 1))
    } else {
      let text =
        settings.isVersion5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code)
      refusal = text.map { String(cString: $0) } ?? "\(code)"
    }
  }

  private func disconnected(code: Int32) {
    isConnected = false
    // Reason codes of MQTT 5 begin at 128, error codes of the library below it.
    if code >= 128 { farewell = code }
    let text = code >= 128 ? mosquitto_reason_string(code) : mosquitto_strerror(code)
    events.append(.disconnected(reason: text.map { String(cString: $0) } ?? "\(code)"))
  }

  private func received(_ message: mosquitto_message) {
    messages &+= 1
    let topic = UnsafeRawBufferPointer(start: message.topic, count: strlen(message.topic))
    let payload = UnsafeRawBufferPointer(
      start: message.payload, count: Int(message.payloadlen))
    onMessage?(ReceivedMessage(topic: topic, payload: payload, isRetained: message.retain))
  }

  /// Takes what happened to the connection since the last call.
  public func takeEvents() -> [MQTTEvent] {
    guard !events.isEmpty else { return events }
    defer { events.removeAll() }
    return events
  }

  // MARK: What its owner does

  /// Opens the connection; the broker's answer comes as an event of a later ``receive(while:)``.
  ///
  /// - Throws: ``MQTTError`` naming host and port where nobody listens.
  public func connect() throws(MQTTError) {
    var properties: OpaquePointer?
    if settings.isVersion5 {
      mosquitto_property_add_int32(
        &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), settings.sessionExpiry)
      mosquitto_property_add_int16(
        &properties, Int32(MQTT_PROP_RECEIVE_MAXIMUM.rawValue), settings.receiveMaximum)
    }
    defer { mosquitto_property_free_all(&properties) }
    isConnected = false
    refusal = nil
    farewell = nil
    wasTaken = false
    quietSubscriptions = []
    holdsMore = false
    lowWaterMark = 1
    listenForTLSComplaints()
    errno = 0
    try check(
      mosquitto_connect_bind_v5(
        raw, settings.host, Int32(settings.port), Int32(settings.keepAlive), nil, properties),
      "connect")
    cpb_reset(buffer, socket)
    try flush()
  }

  /// Opens the connection and waits for the broker's answer; its events until then are not told.
  ///
  /// - Throws: ``MQTTError`` when the broker refuses, or says nothing in time.
  public func connect(within limit: Duration) throws(MQTTError) {
    try connect()
    let deadline = ContinuousClock.now + limit
    while !isConnected {
      _ = wait(milliseconds: 100)
      try receive()
      if takeEvents().contains(where: { if case .disconnected = $0 { true } else { false } }) {
        throw loss
      }
      if ContinuousClock.now > deadline {
        throw MQTTError(
          target: settings.target, operation: "connect",
          message: "no answer within \(Int(limit / .seconds(1))) s")
      }
      // A TLS handshake takes several turns.
      try flush()
    }
  }

  /// Queues a subscription at QoS 1: a QoS 2 message could not be held (it reaches us after
  /// PUBREC/PUBREL). ``flush()`` sends it, and with it every acknowledgement that is held.
  public func subscribe(_ filters: [String]) throws(MQTTError) {
    // One SUBSCRIBE for all, so that one SUBACK answers for all. C wants an array of C strings.
    let copies = filters.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    try check(
      mosquitto_subscribe_multiple(raw, nil, Int32(filters.count), copies, 1, 0, nil),
      "subscribe to \(filters.joined(separator: ", "))")
  }

  /// Queues a subscription at QoS 0, of which the broker keeps nothing while the client is away.
  /// Where the broker refuses it, nothing comes.
  public func listen(to filter: String) throws(MQTTError) {
    var id: Int32 = 0
    try check(mosquitto_subscribe(raw, &id, filter, 0), "subscribe to \(filter)")
    quietSubscriptions.insert(id)
  }

  /// Queues the end of a subscription; ``flush()`` sends it.
  ///
  /// - Returns: its id, for ``onUnsubscribed``.
  @discardableResult
  public func unsubscribe(_ filter: String) throws(MQTTError) -> Int32 {
    var id: Int32 = 0
    try check(mosquitto_unsubscribe(raw, &id, filter), "unsubscribe from \(filter)")
    return id
  }

  /// Queues a message; ``flush()`` sends it.
  ///
  /// - Returns: its id, for ``onPublished``.
  @discardableResult
  public func publish(
    topic: String, payload: [UInt8], qos: Int32 = 1, retain: Bool = false
  ) throws(MQTTError) -> Int32 {
    var id: Int32 = 0
    try check(
      mosquitto_publish_v5(raw, &id, topic, Int32(payload.count), payload, qos, retain, nil),
      "publish to \(topic)")
    return id
  }

  /// Waits until the broker sends something, `wakeUp` becomes readable, or the time is over.
  ///
  /// - Parameters:
  ///   - milliseconds: 0 looks without waiting.
  ///   - isListening: whether the broker is waited for, too; else only `wakeUps` end the wait.
  ///   - bytes: how much the broker has to have sent to end the wait; 1 or more, default 1.
  ///   - wakeUps: file descriptors that end the wait when they are readable.
  /// - Returns: whether there is something to receive; when `bytes` have not come together, there may be
  ///   something nevertheless.
  public func wait(
    milliseconds: Int32, isListening: Bool = true, atLeast bytes: Int32 = 1, wakeUps: [Int32] = []
  ) -> Bool {
    if isListening, holdsMore { return true }
    if isListening { setLowWaterMark(bytes) }
    // poll(2) passes over a negative descriptor.
    let socket = isListening ? self.socket : -1
    var descriptors = [pollfd(fd: socket, events: Int16(POLLIN), revents: 0)]
    for wakeUp in wakeUps {
      descriptors.append(pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0))
    }
    let ready = poll(&descriptors, nfds_t(descriptors.count), milliseconds)
    return ready > 0 && descriptors[0].revents != 0
  }

  /// Has poll(2) pass over less than so many bytes (socket(7), SO_RCVLOWAT); the end of a connection
  /// is told all the same.
  private func setLowWaterMark(_ bytes: Int32) {
    guard bytes != lowWaterMark else { return }
    lowWaterMark = bytes
    var value = bytes
    setsockopt(
      socket, SOL_SOCKET, SO_RCVLOWAT, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Reads packets until the socket is empty or `condition` is over; messages go to ``onMessage``.
  /// Nothing is sent.
  ///
  /// - Returns: whether the socket is empty.
  /// - Throws: ``MQTTError`` when the connection is lost.
  @discardableResult
  public func receive(while condition: () -> Bool = { true }) throws(MQTTError) -> Bool {
    cpb_enter(buffer, CPB_PASS)
    defer { cpb_leave() }
    holdsMore = false
    while condition() {
      // One packet a call; EAGAIN is reported as success with errno set. Where a message came, errno
      // is what its receiver left: a lock that was waited for leaves EAGAIN, too.
      let before = messages
      errno = 0
      let code = mosquitto_loop_read(raw, 1)
      let reason = errno
      if code != MOSQ_ERR_SUCCESS.rawValue { throw lost(code, reason) }
      if messages == before, reason == EAGAIN || reason == EWOULDBLOCK { return true }
    }
    holdsMore = true
    return false
  }

  /// Whether ``hold()`` can be used on this connection: not where another read(2) and write(2) than
  /// those of the buffer serve the library, as under a sanitizer.
  public var canHold: Bool { cpb_has_written(buffer) }

  /// Takes what is queued out of the queue, acknowledgements of everything received among it, and
  /// keeps it for ``release()``. What is queued from now on is not part of it.
  public func hold() throws(MQTTError) {
    precondition(canHold, "without the buffer everything would be sent at once")
    try pack(CPB_HOLD)
  }

  /// Sends what ``hold()`` has kept, and nothing else.
  public func release() throws(MQTTError) {
    while cpb_flush(buffer) != 0 {
      let reason = errno
      guard reason == EAGAIN || reason == EWOULDBLOCK else {
        throw lost(MOSQ_ERR_ERRNO.rawValue, reason)
      }
      try waitForRoom()
    }
  }

  /// Sends what is held and what is queued: acknowledgements of everything received, pings, published
  /// messages.
  public func flush() throws(MQTTError) {
    try pack(CPB_GATHER)
    try release()
  }

  /// Has the library write what is queued.
  private func pack(_ writing: cpb_writing) throws(MQTTError) {
    guard mosquitto_want_write(raw) else { return }
    cpb_enter(buffer, writing)
    defer { cpb_leave() }
    while mosquitto_want_write(raw) {
      errno = 0
      let code = mosquitto_loop_write(raw, 1)
      let reason = errno
      if code != MOSQ_ERR_SUCCESS.rawValue { throw lost(code, reason) }
      if reason == EAGAIN || reason == EWOULDBLOCK { try waitForRoom() }
    }
  }

  /// Keep-alive; call it about once a second while nothing else is sent.
  public func keepAlive() throws(MQTTError) {
    cpb_enter(buffer, CPB_PASS)
    defer { cpb_leave() }
    let code = mosquitto_loop_misc(raw)
    if code != MOSQ_ERR_SUCCESS.rawValue { throw lost(code, 0) }
  }

  /// Says good-bye, without the last will, and closes. What is held is acknowledged with it: to leave
  /// held messages with the broker, let go of the session instead.
  public func disconnect() { disconnect(nil) }

  /// Says good-bye for good: the broker forgets the session, and with it what it still holds for it.
  ///
  /// MQTT 3.1.1 knows no such good-bye: there, a session with a clean start ends it.
  public func endSession() {
    var properties: OpaquePointer?
    if settings.isVersion5 {
      mosquitto_property_add_int32(
        &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), 0)
    }
    defer { mosquitto_property_free_all(&properties) }
    disconnect(properties)
  }

  private func disconnect(_ properties: OpaquePointer?) {
    guard isConnected else { return }
    // The library closes its descriptor at once. A connection that is closed with something unread is
    // reset, and a reset throws away what the broker has not read yet: acknowledgements.
    let connection = dup(socket)
    _ = mosquitto_disconnect_v5(raw, 0, properties)
    // One by one: the library closes the socket as soon as it believes the last packet sent.
    try? release()
    try? pack(CPB_PASS)
    isConnected = false
    waitForEnd(of: connection)
  }

  /// Reads, and forgets, what the broker sends until it has closed the connection; a second at most.
  /// Messages among it are not acknowledged, so they come again.
  private func waitForEnd(of connection: Int32) {
    defer { close(connection) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let end = ContinuousClock.now + .seconds(1)
    while ContinuousClock.now < end {
      var descriptor = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
      guard poll(&descriptor, 1, 1_000) == 1 else { return }
      let count = read(connection, &bytes, bytes.count)
      if count == 0 || (count < 0 && errno != EAGAIN) { return }
    }
  }

  /// The connection's descriptor; -1 where there is none.
  var socket: Int32 { mosquitto_socket(raw) }

  /// The kernel's buffer is full because the broker does not read.
  func waitForRoom() throws(MQTTError) {
    var descriptor = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    if poll(&descriptor, 1, 10_000) != 1 {
      throw MQTTError(
        target: settings.target, operation: "send", message: "the broker took nothing for 10 s")
    }
  }

  /// Why the connection ended, for who has heard ``MQTTEvent/disconnected(reason:)``.
  public var loss: MQTTError { lost(MOSQ_ERR_CONN_LOST.rawValue, 0) }

  func lost(_ code: Int32, _ reason: Int32) -> MQTTError {
    isConnected = false
    // The library reports most refusals as protocol errors, after it has told the reason.
    if let refusal {
      return MQTTError(
        target: settings.target, operation: "connect", message: refusal, isRefusal: true)
    }
    var error = failure("exchange packets", code, reason)
    error.wasConnected = wasTaken
    if let farewell, let text = mosquitto_reason_string(farewell) {
      error.operation = "stay connected"
      error.message = String(cString: text)
      error.isTakenOver = farewell == Int32(MQTT_RC_SESSION_TAKEN_OVER.rawValue)
    }
    return error
  }

  private func check(_ code: Int32, _ operation: String) throws(MQTTError) {
    if code != MOSQ_ERR_SUCCESS.rawValue { throw failure(operation, code, errno) }
  }

  private func failure(_ operation: String, _ code: Int32, _ reason: Int32 = 0) -> MQTTError {
    var text =
      code == MOSQ_ERR_ERRNO.rawValue && reason != 0
      ? String(cString: strerror(reason)) : String(cString: mosquitto_strerror(code))
    if let tlsComplaint { text += " \(tlsComplaint)" }
    return MQTTError(target: settings.target, operation: operation, message: text)
  }
}
