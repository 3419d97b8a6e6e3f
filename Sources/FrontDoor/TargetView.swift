internal import DockerAPI
internal import Engine
internal import Fleet

/// What a node that runs containers of this device has told of them, kept true by its events: lists and inspections are
/// answered from it without a word over the link.
///
/// An entry counts only while nothing has happened to its container since it was read: an event, or a call of this
/// device's, makes it stale at once, and it is read anew a moment later. What is stale, or was read while the node is not
/// heard, is asked live.
///
/// An end is foretold by the gateway, which hears of it some 30 ms before the node's engine tells it; that answers nothing then
/// for as long again, while it clears up. It is shown in between; who wants to do something to the container waits for its engine.
@NodeLoop
final class TargetView {
    private struct Entry {
        /// One element of `GET /containers/json`, as bytes: trees of JSON would cost ten times the memory.
        var listed: [UInt8]
        /// `GET /containers/ID/json`.
        var inspected: [UInt8]
        /// Seconds by which the node's clock is ahead of this device's.
        var clockLead: Double
        /// Whether its end was foretold, and not read since.
        var isForetold = false
    }

    /// The API version in which it was read, as a path's prefix: `/v1.41`, or nothing.
    private(set) var version = ""
    /// Whether the node's events are heard, and its full list was read since they are.
    private(set) var isHeard = false
    private var entries: [String: Entry] = [:]
    /// How often each container has been touched; a reading that was begun before the last touch says nothing.
    private var touches: [String: Int] = [:]
    /// Grows when readings that are under way are of a time that is over for all containers.
    private var breaks = 0
    /// The containers whose end was foretold and is still to be told by their engine, with who waits for that.
    private var awaited: [String: [CheckedContinuation<Void, Never>]] = [:]
    private var isReading = false

    /// The touches that a reading of these containers must not be older than.
    func moment(of ids: [String]) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: ids.map { ($0, moment(of: $0)) })
    }

    private func moment(of id: String) -> Int { (touches[id] ?? 0) + breaks }

    /// Something has happened to the container, or is about to.
    func touch(_ id: String) {
        touches[id, default: 0] += 1
        entries[id] = nil
        settle(id)
    }

    func forget(_ id: String) {
        breaks += (touches.removeValue(forKey: id) ?? 0) + 1
        entries[id] = nil
        settle(id)
    }

    /// The node is not heard: nothing of this counts any more.
    func silence() {
        isHeard = false
        breaks += 1
        entries = [:]
        for id in Array(awaited.keys) { settle(id) }
    }

    // MARK: Ends that are foretold

    /// The container has ended, but its engine has not said so yet. False where that changes nothing: it was not known to run,
    /// or its engine will start it again.
    func foretell(_ end: WorkloadEnd, of id: String) -> Bool {
        guard isHeard, var entry = entries[id], !entry.isForetold, let ended = EndedContainer(entry.inspected, end)
        else { return false }
        touches[id, default: 0] += 1
        entry.inspected = Array(ended.inspected.text.utf8)
        entry.listed = ended.list(entry.listed)
        entry.isForetold = true
        entries[id] = entry
        awaited[id] = []
        return true
    }

    /// Its engine says that the container has ended.
    func end(_ id: String) {
        guard entries[id]?.isForetold == true else { return touch(id) }
        touches[id, default: 0] += 1
        settle(id)
    }

    func isAwaited(_ id: String) -> Bool { awaited[id] != nil }

    /// Waits until its engine has told what was foretold of the container, or something else has happened to it.
    func told(_ id: String) async {
        guard isAwaited(id) else { return }
        await withCheckedContinuation { awaited[id]?.append($0) }
    }

    /// The same of all its containers.
    func toldAll() async {
        for id in Array(awaited.keys) { await told(id) }
    }

    private func settle(_ id: String) {
        for waiter in awaited.removeValue(forKey: id) ?? [] { waiter.resume() }
    }

    /// The node's events are heard from now on.
    func hear() { isHeard = true }

    /// What is asked in another version is asked live, and read in that one from now on.
    func speak(_ version: String) {
        guard version != self.version else { return }
        self.version = version
        entries = [:]
        for id in Array(awaited.keys) { settle(id) }
    }

    func put(_ id: String, listed: [UInt8], inspected: [UInt8], clockLead: Double, as of: Int) {
        guard isHeard, moment(of: id) == of else { return }
        entries[id] = Entry(listed: listed, inspected: inspected, clockLead: clockLead)
    }

    /// The state that is shown of a container as its engine said it; nil where that has to be asked, or was foretold.
    func state(of id: String) -> String? {
        guard isHeard, let entry = entries[id], !entry.isForetold else { return nil }
        return (try? JSON.parse(entry.listed))?["State"]?.stringValue
    }

    /// Whether there is nothing to be read of it now.
    func isKnown(_ id: String) -> Bool { entries[id].map { !$0.isForetold } ?? false || isAwaited(id) }

    /// One element of the list as it would be now; nil where it has to be asked.
    /// - Parameter now: seconds since 1970, by this device's clock.
    func listed(_ id: String, now: Double) -> JSON? {
        guard isHeard, let entry = entries[id], var listed = try? JSON.parse(entry.listed) else { return nil }
        if let state = (try? JSON.parse(entry.inspected))?["State"],
            let status = StatusText.make(state, now: now + entry.clockLead)
        {
            listed["Status"] = .string(status)
        }
        return listed
    }

    /// The inspection; nil where it has to be asked. Health checks change it without an event.
    func inspected(_ id: String) -> JSON? {
        guard isHeard, let entry = entries[id], let inspected = try? JSON.parse(entry.inspected),
            inspected["State"]?["Health"]?.isNull ?? true
        else { return nil }
        return inspected
    }

    /// Begins to read what is stale; false when somebody does already.
    func beginReading() -> Bool {
        guard isHeard, !isReading else { return false }
        isReading = true
        return true
    }

    func endReading() { isReading = false }
}
