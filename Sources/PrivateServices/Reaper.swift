// Ends the services when their owner is gone, however it went.
//
// A small shell in a session of its own waits for a file lock that the owner holds. The kernel
// releases the lock when the owner closes the file or dies, by kill -9 too. A lock and not a pipe:
// it can be taken before the shell starts, and close-on-exec is part of the open(2) that makes it,
// so there is no moment at which the shell would wait for ever or another child could hold it.

import Foundation

struct Reaper: Sendable {
  private(set) var process: ChildProcess
  private var lock: Int32

  /// The longest wait for services to end, inside the shell, before it kills them. A kept database
  /// is shut down in order, which may have to write much; a thrown-away one need not.
  private static func patience(keepData: Bool) -> Duration { .seconds(keepData ? 60 : 10) }

  init(directory: String, keepData: Bool) throws {
    let file = "\(directory)/owner.lock"
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw PrivateServicesError(
        .directoryUnusable, "cannot lock \(file): \(String(cString: strerror(errno)))")
    }
    do {
      process = try ChildProcess(
        [
          try Programs.find("sh", package: "dash"), "-c", Self.script, "private-services-reaper",
          directory, keepData ? "keep" : "remove",
          "\(Self.patience(keepData: keepData).components.seconds)",
        ], output: "\(directory)/reaper.log")
    } catch {
      close(descriptor)
      throw error
    }
    lock = descriptor
  }

  /// Lets the shell end the services and waits until it has.
  mutating func reap(keepData: Bool) throws {
    guard lock >= 0 else { return }
    close(lock)
    lock = -1
    let limit = Self.patience(keepData: keepData) + .seconds(20)
    guard process.waitForExit(atMost: limit) != nil else {
      throw PrivateServicesError(
        .notStopped, "private services did not end within \(limit); reaper: pid \(process.pid)")
    }
  }

  /// Services are recognised by an argument that only they have, the path of the database or of the
  /// broker's configuration: a pid written down could be missing, or be somebody else's by now. The
  /// path reaches grep by its input, so that grep does not find itself.
  private static let script = #"""
    directory=$1 fate=$2 patience=$3
    flock "$directory/owner.lock" true
    started_with() { printf '%s\n' "$1" | grep -lzxsFf - /proc/[0-9]*/cmdline | cut -d/ -f3; }
    children_of() { grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d/ -f3; }
    end() {
      for pid in $(started_with "$1"); do
        family="$pid $(children_of "$pid" | tr '\n' ' ')"
        case $2 in
        KILL) kill -s KILL $family ;;
        *) kill -s "$2" "$pid" ; kill -s CONT $family ;;
        esac
      done
    }
    case $fate in keep) how=INT ;; *) how=QUIT ;; esac
    round=0
    while [ -n "$(started_with "$directory/database"; started_with "$directory/mosquitto.conf")" ]
    do
      [ "$round" -lt $((patience * 50)) ] || how=KILL
      if [ $((round % 50)) -eq 0 ]; then
        end "$directory/database" "$how"
        case $how in KILL) end "$directory/mosquitto.conf" KILL ;;
        *) end "$directory/mosquitto.conf" TERM ;; esac
      fi
      round=$((round + 1))
      sleep 0.02
    done
    [ "$fate" = keep ] && exit
    for attempt in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$directory" && exit; sleep 0.1; done
    """#
}
