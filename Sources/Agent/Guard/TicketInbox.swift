import Engine
import Fleet
import NIOCore
import Trust

/// Tickets that came ahead of the calls they are for, and calls that came ahead of their tickets.
///
/// An origin sends a create to the likeliest target while it still asks the gateway for the lease; the gateway sends the
/// ticket there itself. Whichever comes first waits here for the other, so that both journeys are one.
@NodeLoop
final class TicketInbox {
    /// How long either waits for the other.
    static let patience: TimeAmount = .seconds(10)
    private static let limit = 4096

    private var tickets: [WorkloadID: Ticket] = [:]
    private var order: [WorkloadID] = []
    private var waiting: [WorkloadID: [Int: (Ticket?) -> Void]] = [:]
    private var next = 0

    nonisolated init() {}

    /// A verified ticket; a newer epoch replaces an older one.
    func put(_ ticket: Ticket) {
        if let known = tickets[ticket.workload] {
            guard ticket.epoch > known.epoch else { return }
        } else {
            order.append(ticket.workload)
        }
        tickets[ticket.workload] = ticket
        if order.count > Self.limit {
            for old in order.prefix(Self.limit / 4) { tickets[old] = nil }
            order.removeFirst(Self.limit / 4)
        }
        for answer in (waiting.removeValue(forKey: ticket.workload) ?? [:]).values { answer(ticket) }
    }

    /// Answers with the workload's ticket as soon as it is there; with nil after the patience. On the loop.
    func wait(for workload: WorkloadID, on loop: any EventLoop, _ answer: @escaping (Ticket?) -> Void) {
        if let ticket = tickets[workload] { return answer(ticket) }
        next += 1
        let number = next
        waiting[workload, default: [:]][number] = answer
        loop.scheduleTask(in: Self.patience) { [self] in
            NodeLoop.assumeIsolated { giveUp(workload, number) }
        }
    }

    private func giveUp(_ workload: WorkloadID, _ number: Int) {
        guard let answer = waiting[workload]?.removeValue(forKey: number) else { return }
        if waiting[workload]?.isEmpty == true { waiting[workload] = nil }
        answer(nil)
    }
}
