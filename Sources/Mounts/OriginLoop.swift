internal import NIOCore

/// The origin's main task: it finds out what differs, decides, and sees to it that it is done, round after round.
struct OriginLoop {
    private static let attempts = 16
    /// From so many paths on, what a round was planned with is given back to the system at its end.
    private static let largePlan = 10_000

    private let replica: Replica
    private let wires: Wires
    private let options: MountOptions
    private var nextID: UInt32 = 1
    private var round = Round()
    private var planning = Planning.nothing
    private var conclusion = Replica.Conclusion()
    /// The probe that was answered last.
    private var answered: UInt32 = 0
    private var probes: UInt32 = 0
    private var buckets: (mirror: Fingerprint, digests: [Fingerprint])?
    private var isListed = false
    private var hasChanges = false
    private var hasNews = false
    private var isWanted = false
    private var isEnded = false
    private var progress = MountProgress()
    private var wasLarge = false
    /// Whether the round changes anything at either side.
    private var hasActed = false

    init(replica: Replica, wires: Wires, options: MountOptions) {
        self.replica = replica
        self.wires = wires
        self.options = options
    }

    /// Returns when the pipe has ended.
    mutating func run() async throws(MountError) {
        // For those who waited before the first look at both sides, that look is enough.
        let early = wires.tickets.take()
        do throws(MountError) { try await greet() } catch {
            early.finish(error)
            throw error
        }
        if !early.isEmpty { try await serve(early, isFresh: true) }
        while !isEnded {
            await giveBack()
            try await pump { $0.hasChanges || $0.hasNews || $0.isWanted }
            if isEnded { return }
            if isWanted {
                isWanted = false
                try await serve(wires.tickets.take(), isFresh: false)
            } else {
                try await catchUp()
            }
        }
    }

    /// Gives the memory of a large round back to the system: a device has little, and the next one may be far.
    private mutating func giveBack() async {
        guard wasLarge else { return }
        (wasLarge, round) = (false, Round())
        await wires.work.trim()
    }

    private mutating func serve(_ waiting: Tickets.Batch, isFresh: Bool) async throws(MountError) {
        guard !waiting.isEmpty else { return }
        do throws(MountError) {
            try await synchronise(isFresh: isFresh)
            waiting.finish(nil)
        } catch {
            waiting.finish(error)
            guard error.code == .incomplete else { throw error }
        }
    }

    /// Compares both trees for the first time.
    private mutating func greet() async throws(MountError) {
        let replica = replica
        // They are what the other side waits for before it looks at its own tree.
        let rules = try await wires.work.run { () throws(MountError) in
            if let bound = replica.options.maximumBytes {
                let size = try MountTree.measure(replica.root.path, stoppingAbove: bound)
                guard !size.isPartial else {
                    throw MountError(.tooLarge, "\(replica.root.path) holds more than the \(bound) that a mount may")
                }
            }
            return try replica.currentRules()
        }
        try wires.outbox.answer(.rules(rules.text))
        let hasMemory = try await wires.work.run { () throws(MountError) in
            let hasMemory = try replica.load()
            _ = try replica.scanEverything()
            try replica.checkAgainstBase()
            try replica.checkPresence()
            return hasMemory
        }
        if replica.rules.text != rules.text { try wires.outbox.answer(.rules(replica.rules.text)) }
        try await pump { $0.buckets != nil }
        guard let buckets else { return }
        let differing = try await wires.work.run { () throws(MountError) in
            try replica.start(with: buckets.mirror, hasMemory: hasMemory)
            return try replica.differingBuckets(buckets.digests)
        }
        try wires.outbox.answer(.list(differing))
        try await pump { $0.isListed }
        hasNews = true
    }

    /// Brings what is known to differ to both sides.
    private mutating func catchUp() async throws(MountError) {
        if hasChanges { try await lookHere(everything: false) }
        hasNews = false
        try await doRound()
    }

    /// Looks at both sides until nothing differs.
    private mutating func synchronise(isFresh: Bool) async throws(MountError) {
        for attempt in 0..<Self.attempts {
            if isEnded { throw MountError(.pipe, "the other side of the mount has gone") }
            if attempt > 0 || !isFresh {
                try await lookThere()
                try await lookHere(everything: true)
                let replica = replica
                try await wires.work.run { () throws(MountError) in try replica.checkPresence() }
                let probe = probes
                try await pump { $0.answered == probe }
            }
            hasNews = false
            try await doRound()
            if isEnded { throw MountError(.pipe, "the other side of the mount has gone") }
            if let failure = conclusion.failure { throw incomplete(failure) }
            if !conclusion.isIncomplete { return }
        }
        throw MountError(.incomplete, "the mount's files change faster than they can be mirrored; try again")
    }

    private func incomplete(_ first: MountNotice) -> MountError {
        MountError(.incomplete, conclusion.failures == 1 ? "\(first)" : "\(first), and \(conclusion.failures - 1) more")
    }

    private mutating func lookThere() async throws(MountError) {
        probes &+= 1
        try wires.outbox.answer(.probe(probes))
    }

    private mutating func lookHere(everything: Bool) async throws(MountError) {
        hasChanges = false
        let replica = replica
        wires.pace.begin()
        let hasNewRules = try await wires.work.run { () throws(MountError) in
            everything ? try replica.scanEverything() : try replica.scanChanges()
        }
        if hasNewRules {
            try wires.outbox.answer(.rules(replica.rules.text))
            _ = try await wires.work.run { () throws(MountError) in try replica.scanEverything() }
        }
        wires.pace.end()
    }

    private mutating func doRound() async throws(MountError) {
        (conclusion, hasActed) = (Replica.Conclusion(), false)
        let suffix = Array(".conflict-\(options.targetName)-\(UTCTime.now)".utf8)
        let replica = replica
        (planning, round) = (Planning(page: options.page, conflictSuffix: suffix), Round())
        progress.pathsPlanned = progress.pathsDone + replica.differences
        try await planMore()
        try await pump { $0.round.isDone && $0.planning.isDone }
        // A plan ends with its pipe; what was not done is found again by the next session.
        guard !isEnded else { return }
        wasLarge = wasLarge || round.steps > Self.largePlan
        progress.pathsPlanned = progress.pathsDone
        try await wires.work.run { () throws(MountError) in
            try replica.finishFolders()
            try replica.settle()
            replica.endMirroring()
            try replica.save()
        }
        if hasActed { try wires.outbox.answer(.settled) }
        // Not at once: what fails now may go on failing.
        if replica.isDoubtful || conclusion.isIncomplete { wires.pace.lookAgain() }
    }

    /// Plans as much as may be under way.
    private mutating func planMore() async throws(MountError) {
        let replica = replica
        while !planning.isDone, round.hasRoom, !isEnded {
            let (plan, next, early) = try await wires.work.run { [planning] () throws(MountError) in
                try replica.plan(planning)
            }
            planning = next
            conclusion.add(early)
            hasActed = hasActed || !plan.isEmpty
            for shipment in round.shipments(plan.puts, nextID: &nextID) { wires.courier.ship(shipment) }
            round.add(plan.takes)
            progress.pathsPlanned = max(progress.pathsPlanned, progress.pathsDone + round.open.count)
        }
        let wants = round.wants(nextID: &nextID)
        guard !wants.isEmpty else { return }
        for want in try await wires.work.run({ () throws(MountError) in try replica.want(wants) }) {
            try wires.outbox.answer(want)
        }
    }

    /// Deals with what comes in until `isReached`, or until the pipe has ended.
    private mutating func pump(until isReached: (Self) -> Bool) async throws(MountError) {
        while !isReached(self), !isEnded {
            let events = await wires.inbox.next()
            if events.isEmpty { isEnded = true }
            var content: [Message] = []
            var outcomes: [(id: UInt32, outcome: Message.Outcome)] = []
            for event in events {
                switch event {
                case .changed: hasChanges = true
                case .synchronise: isWanted = true
                case .ended: isEnded = true
                case .unsent(let id): outcomes.append((id, .changed))
                case .message(.done(let id, let outcome)): outcomes.append((id, outcome))
                case .message(.entries(let entries)):
                    try await take(&content, &outcomes)
                    try await conclude(&outcomes)
                    let replica = replica
                    try await wires.work.run { () throws(MountError) in try replica.note(entries) }
                case .message(let message):
                    if try !takeSignal(message) { content.append(message) }
                }
            }
            try await take(&content, &outcomes)
            try await conclude(&outcomes)
        }
    }

    /// - Returns: False for content.
    private mutating func takeSignal(_ message: Message) throws(MountError) -> Bool {
        switch message {
        case .buckets(let mirror, let digests) where buckets == nil: buckets = (mirror, digests)
        case .listed(let token):
            hasNews = true
            switch token {
            case Message.Told.buckets: isListed = true
            case Message.Told.changes: break
            default: answered = token
            }
        case .needs(let id, let flags): wires.replies.deliver(flags, for: id)
        default: return false
        }
        return true
    }

    private mutating func take(
        _ content: inout [Message], _ outcomes: inout [(id: UInt32, outcome: Message.Outcome)]
    ) async throws(MountError) {
        guard !content.isEmpty else { return }
        let (replica, messages) = (replica, content)
        content = []
        for answer in try await wires.work.run({ () throws(MountError) in try replica.receive(messages) }) {
            if case .done(let id, let outcome) = answer {
                outcomes.append((id, outcome))
            } else {
                try wires.outbox.answer(answer)
            }
        }
    }

    private mutating func conclude(_ outcomes: inout [(id: UInt32, outcome: Message.Outcome)]) async throws(MountError)
    {
        guard !outcomes.isEmpty else { return }
        var steps: [(id: UInt32, step: Replica.Step, outcome: Message.Outcome)] = []
        for (id, outcome) in outcomes {
            if let step = round.finish(id) { steps.append((id, step, outcome)) }
        }
        outcomes = []
        progress.pathsDone += steps.count
        let replica = replica
        conclusion.add(try await wires.work.run { [steps] () throws(MountError) in try replica.conclude(steps) })
        try await planMore()
        wires.report(progress)
    }
}
