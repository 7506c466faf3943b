// Sun, clouds and wind over one grid area; neighbours share them.

/// The weather of one grid area, as fractions of what its devices can make of it.
struct Sky: Sendable {
  private let clouds: SeededNoise
  private let air: SeededNoise
  private let longitude: Double

  init(noise: SeededNoise, longitude: Double) {
    clouds = noise.branch(1)
    air = noise.branch(2)
    self.longitude = longitude
  }

  /// The sunlight on a panel as a fraction of the best possible, 0...1; exactly 0 at night.
  ///
  /// Day length follows the season at about 14° N (11.3 to 12.9 hours), noon the longitude.
  func sunlight(at time: LocalTime) -> Double {
    let noon = 12 + (105 - longitude) / 15
    let halfDay = (12.1 + 0.8 * sine(turns: time.yearFraction - 0.22)) / 2
    let position = (time.hour - noon) / halfDay
    let height = 1 - position * position
    guard height > 0 else { return 0 }
    return height * height.squareRoot() * (1 - 0.8 * cloudCover(at: time))
  }

  /// The share of the sky that clouds close, 0...1: fronts of hours, clouds of minutes, and more
  /// of both in the south-west monsoon (mid-May to mid-October).
  private func cloudCover(at time: LocalTime) -> Double {
    let monsoon =
      smoothstep((time.yearFraction - 0.34) / 0.06)
      * smoothstep((0.84 - time.yearFraction) / 0.08)
    let fronts = clouds.smooth(time.seconds, period: 10_800)
    let drifting = clouds.branch(1).smooth(time.seconds, period: 1_500)
    let passing = clouds.branch(2).smooth(time.seconds, period: 240)
    return smoothstep(
      0.6 * fronts + 0.3 * drifting + 0.2 * passing + 0.3 * monsoon - 0.35)
  }

  /// The power of the wind as a fraction of a turbine's rating, 0...1.
  func wind(at time: LocalTime) -> Double {
    let slow = air.smooth(time.seconds, period: 21_600)
    let gusty = air.branch(1).smooth(time.seconds, period: 900)
    let speed = 0.25 + 0.6 * slow + 0.15 * gusty
    return min(1, speed * speed * speed * 1.3)
  }
}
