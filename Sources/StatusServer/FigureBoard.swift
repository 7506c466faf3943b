// Keeps the latest answer of each figure, so that a hundred viewers cost the database what one does.

/// Answers from the database, each read at most once in its lifetime.
///
/// After a slow query the next one waits twenty times as long as it took: figures cost the database
/// at most a twentieth of one core, however large the tables are.
actor FigureBoard {
  private struct Subject: Hashable {
    let figure: Figure
    let device: String
  }

  private struct Entry {
    var answer: Result<FigureAnswer, FigureFailure>
    var goodUntil: ContinuousClock.Instant
  }

  private let read: FigureReader?
  private var entries: [Subject: Entry] = [:]
  private var running: [Subject: Task<Entry, Never>] = [:]
  private var energy = EnergyChart()

  /// - Parameter read: nil where there is no database; every figure then fails and says so.
  init(read: FigureReader?) { self.read = read }

  /// - Parameter device: the meter that ``Figure/meter`` is about.
  /// - Throws: ``FigureFailure``.
  func answer(_ figure: Figure, device: String = "") async throws(FigureFailure) -> FigureAnswer {
    let subject = Subject(figure: figure, device: device)
    if let entry = entries[subject], ContinuousClock.now < entry.goodUntil {
      return try entry.answer.get()
    }
    let task = running[subject] ?? Task { await refresh(subject) }
    running[subject] = task
    return try await task.value.answer.get()
  }

  private func refresh(_ subject: Subject) async -> Entry {
    let begin = ContinuousClock.now
    let answer: Result<FigureAnswer, FigureFailure>
    do {
      answer = .success(try await ask(subject))
    } catch {
      answer = .failure(FigureFailure(description: "\(error)"))
    }
    let end = ContinuousClock.now
    let entry = Entry(
      answer: answer, goodUntil: end + max(subject.figure.lifetime, (end - begin) * 20))
    forgetOld(at: end)
    entries[subject] = entry
    running[subject] = nil
    return entry
  }

  private func ask(_ subject: Subject) async throws -> FigureAnswer {
    guard let read else { throw FigureFailure(description: "no database is configured") }
    switch subject.figure {
    case .energy:
      // Taken out while it is refreshed, since the actor may be asked for something else meanwhile.
      var chart = energy
      defer { energy = chart }
      return try await chart.refreshed(read)
    case .meter:
      return try await Self.ask(.meter, [subject.device], read)
    case .grids, .rejections, .notices:
      return try await Self.ask(subject.figure, [], read)
    }
  }

  private static func ask(
    _ figure: Figure, _ parameters: [String], _ read: FigureReader
  ) async throws -> FigureAnswer {
    let rows = try await read(figure.sql, parameters)
    return FigureAnswer(
      json: rows.first?.first.flatMap(\.self).map(withoutLineBreaks),
      query: figure.pasteable(parameters))
  }

  /// PostgreSQL breaks lines between the elements of an array; within strings they are escaped.
  static func withoutLineBreaks(_ json: String) -> String { json.replacing("\n", with: "") }

  /// Meters that nobody looks at any more.
  private func forgetOld(at now: ContinuousClock.Instant) {
    if entries.count > 64 { entries = entries.filter { $0.value.goodUntil > now } }
  }
}
