// The last day's energy by quarter of an hour, summed piece by piece.
//
// A small database sums the whole day in one query. A large one would need seconds for it, so the
// day is walked in pieces that grow while they are quick: the newest two buckets each time, and of
// the older ones, in which late readings may still arrive, as many as the time allows.

import FoundationEssentials

/// What is known of the day's buckets.
struct EnergyChart: Sendable {
  static let bucketSeconds = 900
  static let bucketCount = 96
  /// Time for the older buckets of one refresh.
  private static let patience = Duration.milliseconds(250)
  /// A piece that takes less may grow.
  private static let quick = Duration.milliseconds(50)

  /// JSON of the buckets that hold something, by number since 1970.
  private var filled: [Int: String] = [:]
  /// Buckets that were read, whether they hold something or not.
  private var known: Set<Int> = []
  /// The older buckets that are read next end before this one.
  private var cursor = 0
  /// How many buckets a piece has.
  private var span = 4

  /// Reads again and returns what is known then.
  mutating func refreshed(
    _ read: FigureReader, now: Date = .now
  ) async throws -> FigureAnswer {
    // A reading belongs to the bucket in which its interval ends: after its begin, up to its end.
    let newest = Int((now.timeIntervalSince1970 / Double(Self.bucketSeconds)).rounded(.up)) - 1
    let oldest = newest - Self.bucketCount + 1
    try await readPiece(newest - 1...newest, read)
    let begin = ContinuousClock.now
    var left = Self.bucketCount - 2
    while left > 0, ContinuousClock.now - begin < Self.patience {
      if cursor <= oldest || cursor > newest - 1 { cursor = newest - 1 }
      let piece = max(oldest, cursor - min(span, left))...(cursor - 1)
      let started = ContinuousClock.now
      do {
        try await readPiece(piece, read)
      } catch  where piece.count > 1 {
        // Too much for the time a statement may take, perhaps: less, at the next refresh.
        span = max(1, piece.count / 4)
        return answer(oldest...newest)
      }
      let took = ContinuousClock.now - started
      span = took < Self.quick ? min(Self.bucketCount, span * 2) : max(1, span / 2)
      cursor = piece.lowerBound
      left -= piece.count
    }
    return answer(oldest...newest)
  }

  private mutating func readPiece(_ piece: ClosedRange<Int>, _ read: FigureReader) async throws {
    let rows = try await read(Figure.energy.sql, Self.parameters(piece))
    for slot in piece { filled[slot] = nil }
    for row in rows {
      guard let slot = row[0].flatMap({ Int($0) }), let json = row[1] else { continue }
      filled[slot] = FigureBoard.withoutLineBreaks(json)
    }
    known.formUnion(piece)
  }

  private static func parameters(_ slots: ClosedRange<Int>) -> [String] {
    ["\(slots.lowerBound * bucketSeconds)", "\((slots.upperBound + 1) * bucketSeconds)"]
  }

  private mutating func answer(_ day: ClosedRange<Int>) -> FigureAnswer {
    known = known.filter(day.contains)
    filled = filled.filter { day.contains($0.key) }
    let buckets = day.filter(known.contains).map { filled[$0] ?? Self.empty($0) }
    return FigureAnswer(
      json: """
        {"bucket_seconds":\(Self.bucketSeconds),"from":"\(Self.time(day.lowerBound))",\
        "to":"\(Self.time(day.upperBound + 1))","buckets":[\(buckets.joined(separator: ","))]}
        """,
      query: Figure.energy.pasteable(Self.parameters(day)))
  }

  private static func empty(_ slot: Int) -> String {
    """
    {"begins":"\(time(slot))","production":0,"consumption":0,"discharge":0,"charge":0}
    """
  }

  private static func time(_ slot: Int) -> String {
    Date(timeIntervalSince1970: Double(slot * bucketSeconds)).formatted(.iso8601)
  }
}
