import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import NIOPosix
import Trust

/// Builds of other nodes: the classic builder's, whose every parameter can be judged.
extension Guard {
    /// Admits a build without names, bounded as a container is; its context comes compressed.
    func build(_ head: RequestHead, _ admitted: Admitted, _ query: Query) async throws(DockerFailure) -> Passage {
        guard let ticket = admitted.scope.ticket else {
            throw DockerFailure(status: 403, message: "lighter: a build needs the ticket of a workload")
        }
        try checkBuilds()
        let passed = try BuildAdmission(policy: configuration.policy, node: configuration.node).admit(query)
        guard head.headers.all("Content-Encoding") == ["zstd"] else {
            throw DockerFailure(status: 403, message: "lighter: a build's context comes as a zstd stream")
        }
        let before = await imagesBefore()
        try checkHeadroom(asked: Resources(memory: ByteCount(passed.first("memory").flatMap { Int64($0) } ?? 0)))
        var decoder: (any StreamDecoder)?
        if head.headers.first("X-Lighter-Context") == "chunks", let store = contexts(of: admitted.scope) {
            do throws(ImageError) {
                decoder = try ContextDecoder(store: store)
            } catch {
                throw DockerFailure(status: 500, message: "lighter: \(error)")
            }
        }
        var passage = try decompressed(
            head, admitted, path: "/build", passed, without: ["X-Registry-Config", "X-Lighter-Context"],
            decoder: decoder)
        passage.heard = { [weak self] in self?.noteBuilt($0, by: ticket.origin, before: before) }
        return passage
    }

    func checkBuilds() throws(DockerFailure) {
        guard configuration.policy.acceptsBuilds else {
            throw DockerFailure(
                status: 403,
                message: "lighter: node \(configuration.node) does not build for others: what a Dockerfile adds by its "
                    + "address would be fetched on the node's own network; its owner may set accept_builds")
        }
    }

    private func contexts(of scope: CallScope) -> ContextCache? {
        configuration.contexts.map { ContextCache(folder: $0, origin: scope.origin) }
    }

    /// `{"Chunks": [digest, …]}` is answered with `{"Missing": […]}`; with all of them where none are kept.
    func missingChunks(_ body: ByteBuffer, _ scope: CallScope) throws(DockerFailure) -> JSON {
        try checkBuilds()
        let list = try parsed(body)["Chunks"]?.arrayValue ?? []
        let known = list.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        guard (1...ContextCache.askLimit).contains(list.count), known.count == list.count else {
            throw DockerFailure(
                status: 400,
                message: "lighter: the body must be Chunks, 1 to \(ContextCache.askLimit) digests")
        }
        guard let cache = contexts(of: scope) else { throw .noSuchImage("chunks") }
        return ["Missing": .array(known.filter { !cache.has($0) }.map { .string("\($0)") })]
    }

    /// Gives back the room of contexts that have not been used for long, and of layers whose image was not sent again; looks
    /// once in ten minutes until cancelled.
    package func keepContextsBounded() async {
        while !Task.isCancelled {
            if let folder = configuration.contexts {
                try? await NIOThreadPool.singleton.runIfActive { ContextCache.sweep(folder) }
            }
            if let folder = configuration.layers {
                let time = now()
                try? await NIOThreadPool.singleton.runIfActive { LayerStore.sweep(folder, now: time) }
            }
            do { try await Task.sleep(for: .seconds(600)) } catch { return }
        }
    }

    /// The last that a builder says is `Successfully built ID`, or the id alone where it was to be quiet. Each step says
    /// ` ---> ID`: those of other stages, and of a build that failed, stay behind without a name.
    private func noteBuilt(_ said: [JSON], by origin: NodeID, before: EngineImages?) {
        let lines = said.flatMap { $0["stream"]?.stringValue?.split(separator: "\n").map(String.init) ?? [] }
        let steps = lines.compactMap { line in
            line.hasPrefix(Self.stepMark) ? String(line.dropFirst(Self.stepMark.count)) : nil
        }.filter { $0.utf8.count == 12 && $0.utf8.allSatisfy { isHex($0) } }
        if before != nil { noteSteps(steps, before: before) }
        guard said.last?["errorDetail"] == nil, let last = lines.last else { return }
        let mark = "Successfully built "
        let reference = last.hasPrefix(mark) ? String(last.dropFirst(mark.count)) : last
        guard ImageReference.isID(reference) || reference.utf8.allSatisfy({ isHex($0) }) else { return }
        // Not its to remove: a build without a step is its base image.
        noteImage(reference, by: origin, .brought, before: before)
    }

    private static let stepMark = " ---> "

    private func noteSteps(_ steps: [String], before: EngineImages?) {
        afterEarlierNotes { [self] in
            guard !steps.isEmpty, let list = try? await listedImages() else { return }
            let made = Set(steps)
            for image in list where made.contains(image.id.short) { noteBrought(image.id, before: before) }
        }
    }

    private func isHex(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }
}

/// What is judged alike in builds of either kind.
protocol BuildJudge {
    var node: NodeID { get }
}

extension BuildJudge {
    /// Go takes the first of several; what is not passed on is not read.
    func checkOnce(_ name: String, _ seen: inout Set<String>) throws(DockerFailure) {
        guard name == "extrahosts" || seen.insert(name).inserted else { throw refusal(name, "it is given twice") }
    }

    func check(extraHost value: String) throws(DockerFailure) {
        guard !value.contains("host-gateway") else {
            throw refusal("extrahosts", "host-gateway is this node's own address")
        }
    }

    func refusal(_ name: String, _ why: String) -> DockerFailure {
        DockerFailure(status: 403, message: "lighter: node \(node) does not admit a build's \(name): \(why)")
    }
}

/// What of a build's parameters is let through.
struct BuildAdmission: BuildJudge {
    let policy: GuardPolicy
    let node: NodeID

    private static let plain: Set<String> = [
        "dockerfile", "q", "nocache", "rm", "forcerm", "buildargs", "labels", "target",
    ]

    /// - Throws: what is not admitted, and why.
    func admit(_ query: Query) throws(DockerFailure) -> Query {
        var passed = Query()
        var seen: Set<String> = []
        for pair in query.pairs {
            try checkOnce(pair.name, &seen)
            switch pair.name {
            case let name where Self.plain.contains(name): passed.append(name, pair.value)
            case "memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize":
                guard let number = Int64(pair.value) else { throw refusal(pair.name, "it is no number") }
                passed.append(pair.name, "\(number)")
            case "networkmode":
                guard ["", "default", "bridge", "none"].contains(pair.value) else {
                    throw refusal(pair.name, "containers of other nodes have no network but the default one")
                }
                passed.append(pair.name, pair.value)
            case "extrahosts":
                try check(extraHost: pair.value)
                passed.append(pair.name, pair.value)
            default: throw refusal(pair.name, "it is not offered to other nodes")
            }
        }
        try bound(&passed)
        passed.set("version", "1")
        passed.set("rm", "1")
        passed.set("forcerm", "1")
        return passed
    }

    private func bound(_ query: inout Query) throws(DockerFailure) {
        func number(_ name: String) -> Int64 { query.first(name).flatMap { Int64($0) } ?? 0 }
        guard number("memory") >= 0, number("cpuquota") >= 0, number("cpuperiod") >= 0, number("shmsize") >= 0 else {
            throw refusal("a limit", "it is below zero")
        }
        if let most = policy.maximumMemory {
            guard number("memory") <= most.bytes else { throw refusal("memory", "at most \(most) are offered") }
            if number("memory") == 0 { query.set("memory", "\(most.bytes)") }
        }
        // Without a bound on the swap, one on the memory bounds little.
        if number("memory") > 0 { query.set("memswap", "\(number("memory"))") } else { query.remove("memswap") }
        guard number("shmsize") <= policy.maximumShm.bytes else {
            throw refusal("shmsize", "at most \(policy.maximumShm) are offered")
        }
        if let most = policy.maximumCPUs {
            let period = number("cpuperiod") > 0 ? number("cpuperiod") : 100_000
            let quota = Int64(most * Double(period))
            guard number("cpuquota") <= quota else { throw refusal("cpuquota", "at most \(most) cores are offered") }
            if number("cpuquota") == 0 {
                query.set("cpuperiod", "\(period)")
                query.set("cpuquota", "\(quota)")
            }
        }
    }
}
