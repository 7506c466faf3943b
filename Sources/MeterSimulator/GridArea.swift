// The places of the simulated neighbourhood: districts of Thailand as grid areas.

/// A district that one substation feeds.
struct GridArea: Sendable {
  let gridCode: String
  let province: String
  let district: String
  /// Degrees north.
  let latitude: Double
  /// Degrees east.
  let longitude: Double

  /// Codes are the province's usual abbreviation and the number of the district within it
  /// (Bangkok's 07 is Pathum Wan); the coordinates are the districts' town centres.
  static let all = [
    GridArea("BKK-07", "Bangkok", "Pathum Wan", 13.7449, 100.5222),
    GridArea("BKK-30", "Bangkok", "Chatuchak", 13.8286, 100.5597),
    GridArea("NBI-01", "Nonthaburi", "Mueang Nonthaburi", 13.8622, 100.5134),
    GridArea("CNX-01", "Chiang Mai", "Mueang Chiang Mai", 18.7904, 98.9847),
    GridArea("KKN-01", "Khon Kaen", "Mueang Khon Kaen", 16.4322, 102.8236),
    GridArea("NMA-01", "Nakhon Ratchasima", "Mueang Nakhon Ratchasima", 14.9799, 102.0978),
    GridArea("PKT-01", "Phuket", "Mueang Phuket", 7.8804, 98.3923),
    GridArea("SKA-11", "Songkhla", "Hat Yai", 7.0086, 100.4747),
  ]

  private init(
    _ gridCode: String, _ province: String, _ district: String, _ latitude: Double,
    _ longitude: Double
  ) {
    self.gridCode = gridCode
    self.province = province
    self.district = district
    self.latitude = latitude
    self.longitude = longitude
  }
}
