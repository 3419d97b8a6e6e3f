/// The target's main task: it tells what it has and does what the origin decides.
struct TargetLoop {
    private let replica: Replica
    private let wires: Wires
    private var isEnded = false
    private var isReady = false
    private var progress = MountProgress()

    init(replica: Replica, wires: Wires) {
        self.replica = replica
        self.wires = wires
    }

    /// Returns when the pipe has ended.
    mutating func run() async throws(MountError) {
        while !isEnded {
            let events = await wires.inbox.next()
            if events.isEmpty { return }
            var content: [Message] = []
            for event in events {
                switch event {
                case .changed:
                    try await take(&content)
                    try await look()
                case .ended: isEnded = true
                case .unsent(let id): try wires.outbox.answer(.abort(id))
                case .synchronise: break
                case .message(let message):
                    if message.isContent {
                        content.append(message)
                    } else {
                        try await take(&content)
                        try await act(on: message)
                    }
                }
            }
            try await take(&content)
            if replica.isDoubtful { try await look() }
        }
    }

    /// Finds and tells what has changed.
    private func look() async throws(MountError) {
        // Before the trees were compared there is no one who could want to know.
        guard isReady else { return }
        let replica = replica
        wires.pace.begin()
        let first = try await wires.work.run { () throws(MountError) in
            _ = try replica.scanChanges()
            return try replica.news()
        }
        wires.pace.end()
        guard !first.messages.isEmpty else { return }
        try await tell(first, token: Message.Told.changes) { _ throws(MountError) in try replica.news() }
    }

    /// Tells all of something, part by part.
    private func tell(
        _ first: Replica.Telling, token: UInt32,
        next: @escaping @Sendable (TreePath) throws(MountError) -> Replica.Telling
    ) async throws(MountError) {
        var part = first
        while true {
            // The origin always reads on, so this cannot block for good.
            for message in part.messages { try await wires.outbox.send(message) }
            guard let last = part.last else { break }
            part = try await wires.work.run { () throws(MountError) in try next(last) }
        }
        try await wires.outbox.send(.listed(token))
    }

    private mutating func act(on message: Message) async throws(MountError) {
        let replica = replica
        switch message {
        case .rules(let text):
            let rules = IgnoreRules(text)
            if !isReady {
                let buckets = try await wires.work.run { () throws(MountError) in
                    _ = try replica.load()
                    try replica.adopt(rules)
                    _ = try replica.scanEverything()
                    try replica.recogniseMirror()
                    return try replica.buckets()
                }
                isReady = true
                return try wires.outbox.answer(.buckets(mirror: replica.mirror, buckets))
            }
            let news = try await wires.work.run { () throws(MountError) in
                try replica.adopt(rules)
                _ = try replica.scanEverything()
                return try replica.news()
            }
            try await tell(news, token: Message.Told.changes) { _ throws(MountError) in try replica.news() }
        case .list(let buckets) where isReady:
            let listing = try await wires.work.run { () throws(MountError) in
                try replica.listing(buckets, after: nil)
            }
            try await tell(listing, token: Message.Told.buckets) { last throws(MountError) in
                try replica.listing(buckets, after: last)
            }
        case .probe(let token) where isReady:
            let news = try await wires.work.run { () throws(MountError) in
                _ = try replica.scanEverything()
                return try replica.news()
            }
            try await tell(news, token: token) { _ throws(MountError) in try replica.news() }
        case .want(let want) where isReady:
            let kind = Shipment.Kind.content(comparesChunks: want.comparesChunks, allowsTwin: want.allowsTwin)
            try wires.courier.ship(asked: Shipment(id: want.id, path: want.path, expected: 0, kind: kind))
        case .needs(let id, let flags): wires.replies.deliver(flags, for: id)
        case .settled:
            try await wires.work.run { () throws(MountError) in
                try replica.settle()
                try replica.save()
            }
        default: throw .violation("the mount's other side sent a message out of turn")
        }
    }

    private mutating func take(_ content: inout [Message]) async throws(MountError) {
        guard !content.isEmpty else { return }
        guard isReady else { throw .violation("the origin sent content before the trees were compared") }
        let (replica, messages) = (replica, content)
        content = []
        for answer in try await wires.work.run({ () throws(MountError) in try replica.receive(messages) }) {
            if case .done = answer { progress.pathsDone += 1 }
            try wires.outbox.answer(answer)
        }
        progress.pathsPlanned = progress.pathsDone
        wires.report(progress)
    }
}
