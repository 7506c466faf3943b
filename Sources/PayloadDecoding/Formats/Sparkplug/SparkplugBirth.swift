// What a node or device said of its metrics when it was born: what their aliases stand for.

import EnergyReadings

/// The metrics of one node, or of one device of a node, by its last birth.
///
/// Of metrics that are no energy only the aliases are kept: to tell one that means nothing here from
/// one that nobody knows.
final class SparkplugBirth {
  struct Metric {
    var name: ByteSlice
    var datatype: SparkplugDatatype
    var unit: SparkplugUnit
    /// When this was said first, ms since 1970, and has not been said otherwise since.
    var since: Int64
    /// What it counts for the source that it was asked for last.
    var meaning: MetricMeaning?
  }

  struct Alias {
    var alias: UInt64
    /// Its number among the metrics; -1: none of energy, -2: given to several.
    var metric: Int32
  }

  /// Names, and units that no unit of energy is called.
  private(set) var texts = ByteArena()
  private(set) var metrics: [Metric] = []
  /// In ascending order.
  private var aliases: [Alias] = []
  /// Whether no message of the node may have been missed since.
  var isCurrent = true
  /// Whom ``Metric/meaning`` holds for.
  private var source: Source

  init(_ source: Source) { self.source = source }

  /// About how much memory it takes, bytes.
  var size: Int {
    200 + texts.count + metrics.count * MemoryLayout<Metric>.stride
      + aliases.count * MemoryLayout<Alias>.stride
  }

  // MARK: Made from a birth message

  /// Adds a metric of the birth.
  ///
  /// - Returns: what it counts; nil where it is not taken.
  func add(
    _ metric: SparkplugMetric, at time: Int64, in arena: borrowing ByteArena
  ) -> MetricMeaning? {
    let name = metric.plainName(in: arena)
    var meaning = source.options.meaning(of: arena[name])
    if let found = meaning, found.isGuessed, guesses(found.flow) { meaning = nil }
    guard let meaning else {
      if let alias = metric.alias { aliases.append(Alias(alias: alias, metric: -1)) }
      return nil
    }
    if let alias = metric.alias {
      aliases.append(Alias(alias: alias, metric: Int32(metrics.count)))
    }
    metrics.append(
      Metric(
        name: texts.append(arena[name]), datatype: metric.datatype,
        unit: metric.unit.copied(from: arena, to: &texts), since: time, meaning: meaning))
    return meaning
  }

  /// Whether a metric was taken by common words that means the same.
  func guesses(_ flow: RegisterSample.Flow) -> Bool {
    metrics.contains { $0.meaning.map { $0.isGuessed && $0.flow == flow } ?? false }
  }

  /// Ends the birth.
  ///
  /// - Parameter before: the birth before, where nothing was missed since.
  /// - Returns: an alias that was given to several metrics; nil where all are unique.
  func finish(after before: SparkplugBirth?) -> UInt64? {
    aliases.sort { $0.alias < $1.alias }
    var repeated: UInt64?
    for index in aliases.indices.dropFirst() where aliases[index].alias == aliases[index - 1].alias
    {
      aliases[index].metric = -2
      aliases[index - 1].metric = -2
      repeated = repeated ?? aliases[index].alias
    }
    if let before { inherit(from: before) }
    return repeated
  }

  /// Definitions that were said again are as old as they were.
  private func inherit(from before: SparkplugBirth) {
    for entry in aliases where entry.metric >= 0 {
      guard let old = before.definition(of: entry.alias), old >= 0 else { continue }
      let (new, former) = (metrics[Int(entry.metric)], before.metrics[Int(old)])
      if new.datatype == former.datatype, new.unit.isSame(texts, former.unit, before.texts),
        texts.holds(new.name, equalTo: former.name, of: before.texts)
      {
        metrics[Int(entry.metric)].since = former.since
      }
    }
  }

  // MARK: Looked up

  /// The number of an alias' metric, or -1 or -2; nil where nobody gave the alias.
  func definition(of alias: UInt64) -> Int32? {
    var (low, high) = (0, aliases.count)
    while low < high {
      let middle = (low + high) / 2
      if aliases[middle].alias < alias { low = middle + 1 } else { high = middle }
    }
    return low < aliases.count && aliases[low].alias == alias ? aliases[low].metric : nil
  }

  /// The number of a metric of that name; nil where there is none, or it is none of energy.
  func number(of name: Span<UInt8>) -> Int? {
    for index in metrics.indices where texts[metrics[index].name].elementsEqual(name) {
      return index
    }
    return nil
  }

  /// Makes the meanings those of `source`, which may have been configured anew.
  func follow(_ source: Source) {
    if self.source === source { return }
    self.source = source
    for index in metrics.indices { metrics[index].meaning = nil }
    for index in metrics.indices {
      let meaning = source.options.meaning(of: texts[metrics[index].name])
      if let meaning, meaning.isGuessed, guesses(meaning.flow) { continue }
      metrics[index].meaning = meaning
    }
  }
}
