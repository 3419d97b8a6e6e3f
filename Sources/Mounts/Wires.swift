/// What a side's main task works with.
struct Wires: Sendable {
    let inbox: Inbox
    let outbox: Outbox
    let courier: Courier
    let replies: Replies
    let tickets: Tickets
    let pace: Pace
    let work: FileWork
    let meter: Meter
    let progress: @Sendable (MountProgress) -> Void

    /// Tells how far it is, bytes included.
    func report(_ new: MountProgress) {
        var new = new
        (new.bytesSent, new.bytesReceived) = meter.bytes
        progress(new)
    }
}
