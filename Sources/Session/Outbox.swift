import Fleet
import NIOCore

/// When which reports go out: at once while the gateway keeps up, in growing batches when it does not.
struct Outbox {
    /// Reports that may be unacknowledged at once; past it news waits, and coalesces.
    private static let window = 16
    /// Workloads in one report: with a decision each they still fit one message.
    private static let batch = 256
    struct Report {
        var sequence: UInt64
        var isFull: Bool
        var workloads: [Workload]
    }

    private var book = ReportBook()
    private var sequence: SequenceReservation
    private var inFlight: [UInt64: NIODeadline] = [:]
    private var pace = ReportPace()
    /// Whether the book holds everything that the node has, so that what is missing in it is gone.
    private(set) var isComplete = false
    /// Whether a flush has been scheduled and not yet begun.
    var isFlushScheduled = false

    init(sequence: SequenceReservation) { self.sequence = sequence }

    /// The inventory's checksum and size, as heartbeats carry them.
    var fingerprint: (checksum: UInt64, count: Int) { book.fingerprint }
    var hasNews: Bool { book.hasNews }
    var isIdle: Bool { inFlight.isEmpty }
    /// How long news waits for company while a report is under way.
    var pause: TimeAmount { pace.pause }
    /// Whether the gateway has acknowledged everything.
    var isSettled: Bool { book.isSettled }

    mutating func record(_ workload: Workload) {
        var workload = workload
        workload.version.sequence = sequence.take()
        book.record(workload)
    }

    mutating func complete() { isComplete = true }

    /// The connection is new: everything is to be said again.
    mutating func startOver() {
        inFlight = [:]
        book.startOver()
    }

    /// The whole inventory; as news when the node does not know all of it yet.
    mutating func everything(now: NIODeadline) -> [Report] {
        guard isComplete else {
            startOver()
            return news(now: now, isUrgent: true)
        }
        let number = sequence.take()
        inFlight = [number: now]
        return [Report(sequence: number, isFull: true, workloads: book.everything(sequence: number))]
    }

    /// What may go out now; everything that is dirty when `isUrgent`.
    mutating func news(now: NIODeadline, isUrgent: Bool = false) -> [Report] {
        var reports: [Report] = []
        while book.hasNews, isUrgent || inFlight.count < Self.window {
            let number = sequence.take()
            guard let workloads = book.nextBatch(limit: Self.batch, sequence: number) else { break }
            inFlight[number] = now
            reports.append(Report(sequence: number, isFull: false, workloads: workloads))
        }
        return reports
    }

    /// - Parameter roundTrip: how long the way to the gateway and back takes; zero where it is not known.
    mutating func acknowledge(_ report: UInt64, now: NIODeadline, roundTrip: TimeAmount = .zero) {
        if let sent = inFlight.removeValue(forKey: report) {
            pace.acknowledged(after: now - sent, roundTrip: roundTrip)
        }
        book.acknowledge(report)
    }

    /// Makes news again of what was sent before `deadline` and not acknowledged.
    mutating func resend(sentBefore deadline: NIODeadline) {
        for (number, sent) in inFlight where sent < deadline {
            inFlight[number] = nil
            book.resend(number)
        }
    }
}
