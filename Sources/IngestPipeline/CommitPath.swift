// The way of a worker's messages into the database: straight, or, while it is away, by the spool.
//
// While a closed batch is committed, the next one is taken: PostgreSQL and the decoder work side by
// side. What is durable is always a prefix of what was taken, so two counts tell what may be
// acknowledged.
//
// The order of arrival is kept: as long as anything is in the spool, what arrives joins it at the
// end. The tables would not mind another order, since ids tell what is stored; but a reading that is
// judged before its predecessors looks like one after a gap, and a battery's book like overdrawn.

import CheckRules
import EnergyReadings
import MQTTSession
import PayloadDecoding
import PostgresStore

/// Holds what is not durable yet, and gives the lane its work. Lives on the worker's thread.
final class CommitPath {
  private let settings: WorkerSettings
  private let worker: Int
  private let reference: ReferenceHolder
  private let observer: any IngestObserver
  private let stop: StopSignal
  private let lane: CommitLane
  private let spool: WorkerSpool?

  /// Whether the database was found to have what is needed.
  private var isPrepared = false
  /// Messages that were taken, ever.
  private(set) var taken = 0
  /// How many of them, from the first on, are committed or in the spool: these may be acknowledged.
  private(set) var durable = 0

  /// What arrives while the way is straight.
  private var open: Batch
  /// What arrives while other messages are before it.
  private var inbox = MessageBox()
  private var firstMessageAt: ContinuousClock.Instant?
  /// What the open batch is judged by.
  private var snapshot = ReferenceData.empty

  /// A batch that is not added to any more.
  private struct ClosedBatch {
    var batch: Batch
    var closedAt = ContinuousClock.now
    /// Where it is in the spool; nil while it is not there.
    var spooled: SpoolPages.Place?
  }
  /// Batches to be committed, in order, before anything else: at most two, and then the first of them
  /// is in the spool. Only the last can be one that is not.
  private var closed: [ClosedBatch] = [] {
    didSet { isPending = closed.last.map { $0.spooled == nil } ?? false }
  }
  /// Whether a closed batch is not durable yet. Nothing more is closed until it is. Kept, since each
  /// message asks.
  private var isPending = false
  /// Batches that are neither open nor closed.
  private var spares: [Batch]
  private var pages = SpoolPages()
  /// What messages of batches that are closed made it necessary to ask for.
  private var requests: [MessageRequest] = []

  private var backoff = Backoff(limit: 1_000)
  private var retryAt = ContinuousClock.now
  private var attempts = 0
  /// Messages that may still join the spool before more of it is drained; nil: any number.
  private var credit: Int?
  /// Whether the last use of the database went well: what the observer was told.
  private var isUsable = false
  private var isSilenceReported = false
  private var reportedAt = ContinuousClock.now

  init(
    _ number: Int, _ settings: WorkerSettings, _ reference: ReferenceHolder, _ states: MeterStates,
    _ observer: any IngestObserver, _ stop: StopSignal
  ) {
    self.settings = settings
    worker = number
    self.reference = reference
    self.observer = observer
    self.stop = stop
    lane = CommitLane(url: settings.postgresURL, worker: number)
    spool = settings.spool.map {
      WorkerSpool($0, clientID: settings.mqtt.clientID, worker: number, observer: observer)
    }
    open = Batch(enrichment: settings.enrichment, states: states)
    spares = (0..<2).map { _ in Batch(enrichment: settings.enrichment, states: states) }
  }

  // MARK: What arrives

  /// Takes one message.
  func take(_ message: borrowing ReceivedMessage) {
    taken += 1
    if firstMessageAt == nil {
      firstMessageAt = .now
      snapshot = reference.current
    }
    if isStraight || !open.isEmpty {
      open.add(topic: message.topic, payload: message.payload, receivedAt: .lastTick, by: snapshot)
    } else {
      inbox.append(topic: message.topic, payload: message.payload, receivedAt: .lastTick)
      credit = credit.map { $0 - 1 }
    }
  }

  /// Whether everything before a message that arrives now has been judged, so that it may be, too.
  private var isStraight: Bool {
    isPrepared && spool?.isEmpty ?? true && (closed.isEmpty || isPending)
  }

  /// Whether something was taken that is neither committed nor in the spool. Its acknowledgements are
  /// to be held.
  var isOpen: Bool { durable < taken }

  /// Whether no more is to be taken for now: by the size of what is open, or since the spool is to be
  /// drained first.
  var isFull: Bool { isFilled || !mayReceive }

  private var isFilled: Bool {
    isFilled(open) || inbox.messageCount >= settings.batchSize
      || inbox.byteCount >= Batch.maximumBytes
  }

  /// While another batch is committed, the open one cannot be closed anyway: it may grow, so that what
  /// each transaction costs is shared by more readings when there are many. Not so much in messages:
  /// of those, the broker has at most 65,535 on their way.
  private func isFilled(_ batch: Batch) -> Bool {
    let size = settings.batchSize
    return batch.count >= size * (isPending ? 4 : 1) || batch.messageCount >= size * 2
      || batch.byteCount >= Batch.maximumBytes
  }

  /// Whether ``close()`` would close something.
  var isClosable: Bool { !isPending && !(open.isEmpty && inbox.isEmpty) }

  /// Whether more may be taken at all.
  ///
  /// Of what a drained batch held, half may come in again: so live messages are taken while the
  /// spool is drained, and the spool gets shorter however many they are. A database that does not
  /// answer leaves no choice: then all are taken, until the spool is full.
  var mayReceive: Bool {
    if isRefused || (isPending && isFilled) { return false }
    guard let credit, credit <= 0, let busySince = lane.busySince else { return true }
    return ContinuousClock.now - busySince > patience
  }

  /// Whether the spool did not take what is open: its owner reads no more, and the broker keeps it.
  private var isRefused: Bool { !inbox.isEmpty && spool?.failure != nil }

  /// Whether what is open has waited long enough for company.
  var isDue: Bool {
    guard let firstMessageAt else { return false }
    return ContinuousClock.now - firstMessageAt >= settings.linger
  }

  // MARK: What the owner does

  /// Rings when there is something to ``advance()``.
  var bell: Int32 { lane.bell.descriptor }

  /// How long to wait for something to happen, ms: until the linger is over, or the next attempt is
  /// due; a second at most.
  var waitingTime: Int32 {
    var rest = Duration.seconds(1)
    if let last = closed.last, last.spooled == nil {
      rest = min(rest, max(patience - (.now - last.closedAt), .milliseconds(50)))
    } else if let firstMessageAt, !isRefused {
      rest = settings.linger - (.now - firstMessageAt)
    }
    if hasWork, !lane.isBusy { rest = min(rest, retryAt - .now) }
    // Rounded up, or the last millisecond would be spent in a busy loop.
    return rest <= .zero ? 0 : Int32(rest / .milliseconds(1)) + 1
  }

  private var hasWork: Bool { !isPrepared || !closed.isEmpty || !(spool?.isEmpty ?? true) }

  /// Messages in the spool.
  var spooled: Int { spool?.depth ?? 0 }

  /// Whether everything that was taken, and all that was in the spool, is committed.
  var isIdle: Bool { !isOpen && isStraight && closed.isEmpty }

  /// Waits until the database is ready; with a spool, not longer than a batch would.
  ///
  /// - Parameter withoutSpool: whether to wait for the database in any case.
  /// - Returns: false when the program is to stop.
  func waitUntilReady(withoutSpool: Bool = false) -> Bool {
    let start = ContinuousClock.now
    while !stop.isSet {
      advance()
      if isPrepared { return true }
      if !withoutSpool, spool?.isOpen ?? false, .now - start >= patience { return true }
      pause()
    }
    return false
  }

  /// Closes what is open: ``advance()`` makes it durable, by a commit or by the spool.
  func close() {
    if !inbox.isEmpty { return spoolInbox() }
    guard let next = spares.popLast() else {
      preconditionFailure("one of three batches is always spare here")
    }
    requests += open.takeRequests()
    closed.append(ClosedBatch(batch: open))
    observer.batchClosed(open, worker: worker)
    open = next
    firstMessageAt = nil
    attempts = 0
    retryAt = .now
  }

  /// Makes durable what is open. Waits for as long as that takes, but for a spool that refuses.
  ///
  /// - Returns: whether all that was taken may be acknowledged.
  @discardableResult
  func settle() -> Bool {
    while isOpen {
      if isClosable { close() }
      advance()
      if !isOpen || isRefused { break }
      if stop.isSet, isHopeless { return false }
      pause()
    }
    return !isOpen
  }

  /// Goes on with what is not committed while there is no session, for some time.
  func rest(milliseconds: Int32) {
    let end = ContinuousClock.now + .milliseconds(milliseconds)
    while !stop.isSet, .now < end {
      advance()
      if isOpen { settle() }
      pause(atMost: Int32(max(0, (end - .now) / .milliseconds(1))) + 1)
    }
  }

  /// The program ends: a commit that is on its way may still arrive, so that it is not done twice.
  func finish() {
    let end = ContinuousClock.now + .seconds(1)
    while lane.isBusy, .now < end {
      wait(for: [bell], milliseconds: 50)
      if let outcome = lane.takeOutcome() { settle(outcome) }
    }
  }

  // MARK: Towards the database

  /// Takes what the lane has done, and gives it the next. Does not wait.
  func advance() {
    if let outcome = lane.takeOutcome() { settle(outcome) }
    noticeSilence()
    spool?.openIfNeeded()
    spoolClosed()
    if !lane.isBusy, .now >= retryAt { begin() }
    if isStraight, !inbox.isEmpty { straighten() }
    if !(spool?.isEmpty ?? true), .now - reportedAt >= .seconds(1) {
      reportedAt = .now
      spool?.report()
    }
  }

  private func begin() {
    guard isPrepared else { return prepare() }
    if closed.isEmpty, open.isEmpty { loadFromSpool() }
    if let first = closed.first {
      lane.commit(first.batch)
    } else {
      // A closed batch does not wait for this; a spool that could not be read does.
      retryAt = .now + .seconds(1)
    }
  }

  private func prepare() {
    lane.prepare { [worker, observer, reference] (connection) throws(PostgresError) in
      try SchemaCheck.check(connection)
      if worker == 0, try SchemaCheck.isSuperuser(connection) {
        observer.warning(
          "connected as a superuser; the role meter_ingestor has all the rights that are needed",
          worker: worker)
      }
      try reference.loadIfEmpty(over: connection)
    }
  }

  /// Makes a batch of the first messages of the spool.
  private func loadFromSpool() {
    guard let spool, let batch = spares.last,
      let place = pages.fill(batch, from: spool, by: reference.current, isFull: isFilled)
    else { return }
    requests += batch.takeRequests()
    spares.removeLast()
    closed.append(ClosedBatch(batch: batch, spooled: place))
    observer.batchClosed(batch, worker: worker)
    attempts = 0
  }

  private func settle(_ outcome: CommitLane.Outcome) {
    isSilenceReported = false
    switch outcome {
    case .prepared: isPrepared = true
    case .committed(let ledger, let took): committed(ledger, took)
    case .failed(let error): return failed(error)
    }
    if !isUsable { observer.databaseChanged(nil, worker: worker) }
    isUsable = true
    backoff.reset()
  }

  private func committed(_ ledger: BatchLedger, _ took: Duration) {
    let done = closed.removeFirst()
    observer.batchCommitted(done.batch, ledger, took: took, worker: worker)
    if let spooled = done.spooled {
      // kill -9 before this: they are drained again after the start, and found stored.
      if let spool, spooled.generation == spool.generation {
        spool.remove(through: spooled.through, drained: done.batch.messageCount)
      }
    } else {
      durable += done.batch.messageCount
    }
    credit = spool?.isEmpty ?? true ? nil : done.batch.messageCount / 2
    // The next one may be closed only now. Closed at once, batches under load would be as small as what
    // arrives within one commit, and each transaction costs as much as some hundred rows.
    if firstMessageAt != nil { firstMessageAt = .now }
    done.batch.removeAll()
    spares.append(done.batch)
  }

  private func failed(_ error: PostgresError) {
    attempts += 1
    isUsable = false
    credit = nil
    if !closed.isEmpty { observer.commitFailed(error, attempt: attempts, worker: worker) }
    observer.databaseChanged(error, worker: worker)
    retryAt = .now + .milliseconds(Int64(backoff.next()))
  }

  /// Time after which a database that neither answers nor hangs up is reported: a lock that somebody
  /// holds, a disk or a machine that stands still.
  private static let silenceLimit = Duration.seconds(10)

  private func noticeSilence() {
    guard let busySince = lane.busySince, !isSilenceReported,
      .now - busySince >= CommitPath.silenceLimit
    else { return }
    isSilenceReported = true
    isUsable = false
    observer.databaseChanged(
      PostgresError(
        message: "no answer for 10 s; look for locks in pg_stat_activity and at the server",
        target: lane.target, operation: "commit"), worker: worker)
  }

  // MARK: Towards the spool

  /// How long a batch may take to be committed before it goes to the spool.
  private var patience: Duration {
    let after = spool?.after ?? .seconds(2)
    return stop.isSet ? min(after, .seconds(2)) : after
  }

  /// Puts a closed batch into the spool once it has taken too long, or is behind one that has. The
  /// lane goes on with it: when it is committed at last, the copy is forgotten.
  private func spoolClosed() {
    guard let spool, spool.isDue, let last = closed.last, last.spooled == nil,
      closed.count > 1 || .now - last.closedAt >= patience
    else { return }
    guard spool.append(last.batch) else { return }
    closed[closed.count - 1].spooled = SpoolPages.Place(
      through: spool.lastSequence, generation: spool.generation)
    durable += last.batch.messageCount
  }

  private func spoolInbox() {
    guard let spool, spool.isDue, spool.append(inbox) else { return }
    durable += inbox.messageCount
    inbox.removeAll()
    firstMessageAt = nil
  }

  /// The spool is empty: what would have joined it goes straight.
  private func straighten() {
    snapshot = reference.current
    inbox.forEachMessage { topic, payload, receivedAt in
      open.add(topic: topic, payload: payload, receivedAt: receivedAt, by: snapshot)
    }
    inbox.removeAll()
  }

  // MARK: Asking

  /// Takes what is to be published since the last call.
  func takeRequests() -> [MessageRequest] {
    defer { if !requests.isEmpty { requests.removeAll() } }
    return requests + open.takeRequests()
  }

  /// The session begins anew: messages may have been missed that others refer to.
  func connectionRenewed() { reference.current.sources.connectionRenewed() }

  // MARK: Waiting

  /// Whether a program that is to stop has tried long enough: what is open stays with the broker.
  private var isHopeless: Bool {
    guard let stopSeenAt else {
      stopSeenAt = .now
      attempts = 0
      retryAt = .now
      return false
    }
    return (attempts >= 3 && !(spool?.isOpen ?? false)) || .now - stopSeenAt >= .seconds(5)
  }
  private var stopSeenAt: ContinuousClock.Instant?

  private func pause(atMost limit: Int32 = 50) {
    // Once it is set, the stop signal would end every wait.
    let descriptors = stop.isSet ? [bell] : [bell, stop.descriptor]
    wait(for: descriptors, milliseconds: min(limit, 50, max(0, waitingTime)))
  }
}
