// The catalogue of this program's metrics: every name, what it means, and its buckets.
//
// Values of `kind` are `IngestMetrics.kinds`; those of `reason` the codes that dead letters use.

/// The metrics of the meter ingestor.
public enum IngestMetrics {
  /// The values of the label `kind`; `unknown` is what could not be read so far.
  public static let kinds = ["production", "consumption", "storage", "unknown"]

  // MARK: The ledger: received = stored + duplicate + zero + rejected + in flight

  public static let readingsReceived = counter(
    "meter_ingestor_readings_received_total", "readings",
    "Readings found in messages, by kind.")
  public static let readingsStored = counter(
    "meter_ingestor_readings_stored_total", "readings",
    "Readings committed to their table, by kind.")
  public static let readingsDuplicate = counter(
    "meter_ingestor_readings_duplicate_total", "readings",
    "Readings that were stored before with the same content, by kind.")
  public static let readingsZero = counter(
    "meter_ingestor_readings_zero_total", "readings",
    "Readings of 0 kWh: heard, not stored, by kind.")
  public static let readingsRejected = counter(
    "meter_ingestor_readings_rejected_total", "readings",
    "Readings turned away into ingest.dead_letters, by kind and reason.")
  public static let readingsInFlight = gauge(
    "meter_ingestor_readings_in_flight", "readings",
    "Readings received and not yet stored, found duplicate or zero, or rejected, by kind.")
  public static let ledgerImbalance = gauge(
    "meter_ingestor_ledger_imbalance_readings", "readings",
    "Received minus stored, duplicate, zero, rejected and in flight, by kind; 0 when none is lost.")

  // MARK: Messages and batches

  public static let messagesReceived = counter(
    "meter_ingestor_messages_received_total", "messages", "MQTT messages received.")
  public static let unknownFields = counter(
    "meter_ingestor_unknown_fields_total", "fields",
    "Fields of payloads that the format does not know and that were ignored.")
  public static let valuesSkipped = counter(
    "meter_ingestor_values_skipped_total", "values",
    "Values and messages that no reading is made of and that are no error, by reason: "
      + "empty_payload, other_message, no_value, other_register or negative.")
  public static let batchReadings = histogram(
    "meter_ingestor_batch_readings", "readings", "Readings per batch.",
    [1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000])
  public static let commitSeconds = histogram(
    "meter_ingestor_commit_seconds", "seconds",
    "Time from the begin of a batch's transaction to its commit.",
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
  public static let publishToCommitSeconds = histogram(
    "meter_ingestor_publish_to_commit_seconds", "seconds",
    "Time from a reading's publication, as its message tells it, to its commit.",
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300])
  public static let commitFailures = counter(
    "meter_ingestor_commit_failures_total", "failures",
    "Transactions that PostgreSQL or the connection refused, by class of SQLSTATE.")
  public static let batchesRepaired = counter(
    "meter_ingestor_batches_repaired_total", "batches",
    "Batches with duplicates or refused rows that were stored in a second way.")

  // MARK: Rules and dead letters

  public static let rules = gauge(
    "meter_ingestor_rules", "rules",
    "CHECK constraints in force, by table and by who enforces them: ingestor or database.")
  public static let ruleChanges = counter(
    "meter_ingestor_rule_changes_total", "changes",
    "Times that the database's constraints were found changed.")
  public static let ruleViolations = counter(
    "meter_ingestor_rule_violations_total", "readings",
    "Readings that broke a rule, by its name and by whether they were rejected or flagged.")
  public static let deadLettersRedriven = counter(
    "meter_ingestor_dead_letters_redriven_total", "letters",
    "Dead letters tried again when devices were registered, by outcome: passed or refused.")
  public static let clockAheadSeconds = histogram(
    "meter_ingestor_clock_ahead_seconds", "seconds",
    "How far meters' clocks are ahead of the ingestor's, for readings that are stored.",
    [0.1, 1, 5, 10, 60, 300, 3_600, 86_400])

  // MARK: Registers

  public static let registerSamples = counter(
    "meter_ingestor_register_samples_total", "samples",
    "Totals and powers of registers by what they came to: interval, first, unchanged, known "
      + "(late or once more) or refused.")
  public static let registerEvents = counter(
    "meter_ingestor_register_events_total", "events",
    "What happened to registers besides counting, by event: rollover, reset, restored, exchange, "
      + "implausible_step or redefined; each is in ingest.register_events.")

  public static let chargeReports = counter(
    "meter_ingestor_charge_reports_total", "reports",
    "States of charge that batteries told, by outcome: applied to current_charge, superseded by a "
      + "newer one, unregistered, or refused by a constraint of grid.energy_storage.")

  // MARK: Connections and registry

  public static let mqttConnected = gauge(
    "meter_ingestor_mqtt_connected", "", "1 while a worker's MQTT session is connected, else 0.")
  public static let postgresConnected = gauge(
    "meter_ingestor_postgres_connected", "",
    "1 while a worker's PostgreSQL connection is open, else 0.")
  public static let mqttReconnects = counter(
    "meter_ingestor_mqtt_reconnects_total", "reconnects",
    "MQTT connections made after the first of each session.")
  public static let registryDevices = gauge(
    "meter_ingestor_registry_devices", "devices", "Registered devices known, by kind.")

  // MARK: Spool and broker

  public static let spoolMessages = gauge(
    "meter_ingestor_spool_messages", "messages",
    "Messages in a worker's spool, acknowledged and waiting for the database.")
  public static let spoolBytes = gauge(
    "meter_ingestor_spool_bytes", "bytes", "Bytes of the messages in a worker's spool.")
  public static let spoolOldestSeconds = gauge(
    "meter_ingestor_spool_oldest_seconds", "seconds",
    "How long the first message of a worker's spool has waited; 0 when it is empty.")
  public static let spoolRefusing = gauge(
    "meter_ingestor_spool_refusing", "",
    "1 while a worker's spool is full or cannot be used, else 0.")
  public static let spooled = counter(
    "meter_ingestor_spooled_total", "messages", "Messages put into the spool.")
  public static let drained = counter(
    "meter_ingestor_drained_total", "messages",
    "Messages that were committed and taken out of the spool.")
  public static let sessionsLost = counter(
    "meter_ingestor_mqtt_sessions_lost_total", "sessions",
    "Times that the broker did not know a worker's session any more: messages may be missing.")
  public static let brokerDropped = gauge(
    "meter_ingestor_broker_dropped_messages", "messages",
    "Messages that the broker itself says it has dropped since its start.")

  // MARK: Meters and grid health

  public static let metersRegistered = gauge(
    "meter_ingestor_meters_registered", "meters",
    "Registered devices in use, by grid code, as the process that writes grid health counts them.")
  public static let meters = gauge(
    "meter_ingestor_meters", "meters",
    "Registered devices by grid code and state: heard within the meters' interval, late, or silent."
  )
  public static let healthWindows = counter(
    "meter_ingestor_grid_health_windows_total", "windows",
    "Windows of monitoring.grid_health written, those that late readings amended included.")
  public static let monitoringLeader = gauge(
    "meter_ingestor_monitoring_leader", "",
    "1 while this process is the one that writes grid health, else 0.")
  public static let monitoringSeconds = histogram(
    "meter_ingestor_monitoring_run_seconds", "seconds",
    "Time that a run of the monitoring job took.",
    [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60])
  public static let monitoringFailures = counter(
    "meter_ingestor_monitoring_failures_total", "failures",
    "Runs of the monitoring job that failed.")

  // MARK: The program itself

  public static let buildInfo = gauge(
    "meter_ingestor_build_info", "", "Always 1; the label version says what runs.")
  public static let metricSeriesDropped = counter(
    "meter_ingestor_metric_series_dropped_total", "series",
    "Uses of label values beyond the limit of series of a metric; counted under \"other\".")
  public static let systemMetricsWriteFailures = counter(
    "meter_ingestor_system_metrics_write_failures_total", "failures",
    "Attempts to write monitoring.system_metrics that failed.")
  public static let systemMetricsLeftOut = counter(
    "meter_ingestor_system_metrics_left_out_total", "samples",
    "Samples that the columns of monitoring.system_metrics cannot hold.")
  public static let processCPU = counter(
    "process_cpu_seconds_total", "seconds", "User and system CPU time of this process.")
  public static let processResidentMemory = gauge(
    "process_resident_memory_bytes", "bytes", "Resident memory of this process.")
  public static let processStartTime = gauge(
    "process_start_time_seconds", "seconds", "Start of this process since the Unix epoch.")
  public static let processOpenFDs = gauge(
    "process_open_fds", "descriptors", "Open file descriptors of this process.")

  /// All of the above.
  public static let catalogue: [MetricDescription] = [
    readingsReceived, readingsStored, readingsDuplicate, readingsZero, readingsRejected,
    readingsInFlight, ledgerImbalance, messagesReceived, unknownFields, batchReadings,
    commitSeconds, publishToCommitSeconds, commitFailures, batchesRepaired, rules, ruleChanges,
    ruleViolations, deadLettersRedriven, clockAheadSeconds, mqttConnected,
    postgresConnected, mqttReconnects, registryDevices, buildInfo, metricSeriesDropped,
    systemMetricsWriteFailures, systemMetricsLeftOut, processCPU, processResidentMemory,
    processStartTime, processOpenFDs, spoolMessages, spoolBytes, spoolOldestSeconds, spoolRefusing,
    spooled, drained, sessionsLost, brokerDropped, metersRegistered, meters, healthWindows,
    monitoringLeader, monitoringSeconds, monitoringFailures, valuesSkipped, registerSamples,
    registerEvents, chargeReports,
  ]

  private static func counter(_ name: String, _ unit: String, _ help: String)
    -> MetricDescription
  {
    MetricDescription(name: name, kind: .counter, help: help, unit: unit)
  }

  private static func gauge(_ name: String, _ unit: String, _ help: String) -> MetricDescription {
    MetricDescription(name: name, kind: .gauge, help: help, unit: unit)
  }

  private static func histogram(
    _ name: String, _ unit: String, _ help: String, _ buckets: [Double]
  ) -> MetricDescription {
    MetricDescription(name: name, kind: .histogram, help: help, unit: unit, buckets: buckets)
  }
}

extension MetricRegistry {
  /// A registry with the catalogue and the computed metrics of the ingestor: the balance of the
  /// ledger, the build, the process.
  ///
  /// Totals whose labels are known beforehand start at 0, so that the first rise is seen as one.
  public static func ingestor(version: String) -> MetricRegistry {
    let registry = MetricRegistry(catalogue: IngestMetrics.catalogue)
    registry.startTotalsAtZero()
    registry.addCollector { [weak registry] builder in
      guard let registry else { return }
      for line in Ledger(balancedIn: registry).lines {
        builder.gauge(
          IngestMetrics.ledgerImbalance.name, Double(line.imbalance),
          labels: [("kind", line.kind)])
      }
      builder.gauge(IngestMetrics.buildInfo.name, 1, labels: [("version", version)])
    }
    registry.addCollector(ProcessCollector().collect)
    return registry
  }

  private func startTotalsAtZero() {
    for kind in IngestMetrics.kinds {
      let labels = [("kind", kind)]
      for counter in [
        IngestMetrics.readingsReceived, IngestMetrics.readingsStored,
        IngestMetrics.readingsDuplicate, IngestMetrics.readingsZero,
      ] {
        _ = makeCounter(label: counter.name, dimensions: labels)
      }
      _ = makeMeter(label: IngestMetrics.readingsInFlight.name, dimensions: labels)
    }
    for counter in [
      IngestMetrics.messagesReceived, IngestMetrics.unknownFields, IngestMetrics.batchesRepaired,
      IngestMetrics.mqttReconnects, IngestMetrics.ruleChanges,
      IngestMetrics.systemMetricsWriteFailures,
      IngestMetrics.systemMetricsLeftOut, IngestMetrics.spooled, IngestMetrics.drained,
      IngestMetrics.sessionsLost,
    ] {
      _ = makeCounter(label: counter.name, dimensions: [])
    }
    for name in [
      IngestMetrics.batchReadings, IngestMetrics.commitSeconds,
      IngestMetrics.publishToCommitSeconds, IngestMetrics.clockAheadSeconds,
    ] {
      _ = histogram(name.name)
    }
  }
}
