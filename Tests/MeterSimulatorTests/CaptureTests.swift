// Capture files: what is written is what is read.

import EnergyReadings
import Foundation
import MeterSimulator
import Testing

/// A line of a capture as a stranger's JSON parser sees it.
private struct Line: Decodable {
  let time: Int64
  let topic: String
  let qos: UInt8
  let payload: String?
  let payloadBase64: Data?
  let retain: Bool?
  let comment: String?

  enum CodingKeys: String, CodingKey {
    case time = "t_ms"
    case topic, qos, payload
    case payloadBase64 = "payload_b64"
    case retain, comment
  }

  var record: CaptureRecord {
    CaptureRecord(
      timeMilliseconds: time, topic: topic, qos: qos,
      payload: payload.map { Array($0.utf8) } ?? payloadBase64.map { Array($0) } ?? [],
      retain: retain ?? false, comment: comment)
  }
}

/// The records of a capture, read with `LineReader` and Foundation.
private func records(of file: String) throws -> [CaptureRecord] {
  let reader = try LineReader(file: file)
  var records: [CaptureRecord] = []
  while let line = try reader.next() {
    records.append(try JSONDecoder().decode(Line.self, from: Data(line)).record)
  }
  return records
}

@Suite struct CaptureTests {
  private let samples = [
    CaptureRecord(timeMilliseconds: 0, topic: "a/b", payload: Array(#"{"x":"\"\\"}"#.utf8)),
    CaptureRecord(timeMilliseconds: 12_045, topic: "ไฟฟ้า/\"x\"", qos: 2, payload: []),
    CaptureRecord(
      timeMilliseconds: 12_046, topic: "a", qos: 0, payload: Array(0...127), retain: true,
      comment: "every\tASCII\u{1} character"),
    CaptureRecord(timeMilliseconds: 12_047, topic: "a", payload: Array(0...255)),
    CaptureRecord(timeMilliseconds: 12_048, topic: "a", payload: [0xED, 0xA0, 0x80]),
    CaptureRecord(timeMilliseconds: 12_049, topic: "a", payload: Array("กขค 🔋\r\n".utf8)),
  ]

  @Test(arguments: ["capture.ndjson", "capture.ndjson.gz"])
  func whatIsWrittenIsRead(name: String) throws {
    try withScratchFile(name) { file in
      let writer = try CaptureWriter(file: file)
      for record in samples { try writer.write(record) }
      try writer.close()
      #expect(writer.recordCount == samples.count)
      #expect(try records(of: file) == samples)
      #expect(try contents(of: file).starts(with: [0x1F, 0x8B]) == name.hasSuffix(".gz"))
    }
  }

  @Test func textStaysTextAndBytesBecomeBase64() throws {
    try withScratchFile("capture.ndjson") { file in
      let writer = try CaptureWriter(file: file)
      for record in samples { try writer.write(record) }
      try writer.close()
      let lines = String(decoding: try contents(of: file), as: UTF8.self).split(separator: "\n")
      #expect(lines[0] == ##"{"t_ms":0,"topic":"a/b","qos":1,"payload":"{\"x\":\"\\\"\\\\\"}"}"##)
      #expect(lines.map { $0.contains("payload_b64") } == [false, false, false, true, true, false])
    }
  }

  /// Lines as the writer makes them are read without a JSON parser; whatever differs is read by one,
  /// and both come to the same.
  @Test(arguments: [
    (#"{"t_ms":7,"topic":"a/b","qos":0,"payload":"\"x\\\/\n\t\r\b\f"}"#, "\"x\\/\n\t\r\u{8}\u{C}"),
    (#"{"t_ms":7,"topic":"a/b","qos":0,"payload":""}"#, ""),
    (#"{"t_ms":7,"topic":"a/b","qos":0,"payload":"12345678"}"#, "12345678"),
    (#"{"t_ms":7,"topic":"a\u002Fb","qos":0,"payload":"\u00e9"}"#, "é"),
    (#"{"t_ms":7,"topic":"a/b","qos":0,"payload":"é"}"#, "é"),
    (#"{"t_ms": 7, "topic": "a/b", "qos": 0, "payload": "x"}"#, "x"),
    (#"{"topic":"a/b","payload":"x","qos":0,"t_ms":7,"later":[1]}"#, "x"),
    (#"{"t_ms":7,"topic":"a/b","qos":0,"payload":"no","payload":"x"}"#, "x"),
  ])
  func linesOfAnyMakeAreRead(line: String, payload: String) throws {
    try withScratchFile("line.ndjson") { file in
      try (line + "\n").write(toFile: file, atomically: true, encoding: .utf8)
      let reader = try CaptureReader(file: file)
      guard case .message = try reader.next() else {
        Issue.record("not taken as a message")
        return
      }
      reader.withMessage { #expect($0.text == "a/b" && $1.text == payload) }
      #expect(reader.timeMilliseconds == 7 && reader.qos == 0)
    }
  }

  @Test(arguments: [
    #"{"t_ms":7,"topic":"a","qos":1,"payload":"x"#, #"{"t_ms":7,"topic":"a","qos":1,"payload":"x""#,
    #"{"t_ms":7,"topic":"a","qos":1,"payload":"x"}}"#,
    #"{"t_ms":7,"topic":"","qos":1,"payload":"x"}"#,
    #"{"t_ms":07,"topic":"a","qos":1,"payload":"x"}"#,
    #"{"t_ms":7,"topic":"a","qos":1,"payload":"\"#,
    "{\"t_ms\":7,\"topic\":\"a\",\"qos\":1,\"payload\":\"\u{1}\"}",
  ])
  func linesThatAreNoneAreNot(line: String) throws {
    try withScratchFile("line.ndjson") { file in
      try (line + "\n").write(toFile: file, atomically: true, encoding: .utf8)
      let reader = try CaptureReader(file: file)
      guard case .broken = try reader.next() else {
        Issue.record("taken as a message")
        return
      }
    }
  }

  @Test func sameRecordsMakeTheSameGzipFile() throws {
    let files = try (0..<2).map { _ in
      try withScratchFile("capture.ndjson.gz") { file in
        let writer = try CaptureWriter(file: file)
        for record in samples { try writer.write(record) }
        try writer.close()
        return try contents(of: file)
      }
    }
    #expect(files[0] == files[1])
  }

  @Test func aSimulatedDayIsACapture() throws {
    try withScratchFile("day.ndjson.gz") { file in
      let start = HostileDay.usualStart
      let readings = Neighbourhood(seed: 1, meterCount: 5)
        .readings(from: start, to: start + 3_600_000_000, interval: 600)
      let writer = try CaptureWriter(file: file)
      for reading in readings { try writer.write(reading.captureRecord(since: start)) }
      try writer.close()
      let read = try records(of: file)
      #expect(read.map(\.payload) == readings.map(\.payload))
      #expect(read.map(\.timeMilliseconds) == readings.map { ($0.time - start) / 1_000 })
    }
  }

  @Test func flushedRecordsAreThereBeforeTheEnd() throws {
    try withScratchFile("capture.ndjson") { file in
      let writer = try CaptureWriter(file: file)
      try writer.write(samples[0])
      try writer.flush()
      #expect(try records(of: file) == [samples[0]])
    }
  }

  @Test func aFolderThatIsMissingIsNamed() throws {
    try withScratchFile("missing/capture.ndjson") { file in
      #expect {
        try CaptureWriter(file: file)
      } throws: {
        "\($0)" == "\(file): cannot be opened: No such file or directory"
      }
    }
  }

  #if os(Linux)
    @Test func aFullDiskIsNoticed() throws {
      let writer = try CaptureWriter(file: "/dev/full")
      try writer.write(samples[0])
      #expect {
        try writer.close()
      } throws: {
        "\($0)" == "/dev/full:2: cannot be written: No space left on device"
      }
      #expect(throws: CaptureError.self) { try writer.write(samples[0]) }
    }
  #endif
}
