import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import NIOPosix
import Trust

/// Builds of other nodes by BuildKit, asked for by `POST /build`: its own service would be too much to judge.
///
/// The session stays unread: in it the engine asks, and the caller gives what is its own.
extension Guard {
    /// Joins the caller to the engine's BuildKit, under a name that no other workload's build can use.
    func session(_ head: RequestHead, _ admitted: Admitted) async throws(DockerFailure) -> Passage {
        let admission = try kitAdmission(admitted)
        let uuids = head.headers.all(KitAdmission.uuidHeader)
        guard head.upgrade == "h2c", head.framing == .none, uuids.count == 1, let session = uuids.first else {
            throw DockerFailure(
                status: 400, message: "lighter: a session has one \(KitAdmission.uuidHeader) and changes to h2c")
        }
        var fields = [
            ("Host", "docker"), ("Connection", "Upgrade"), ("Upgrade", "h2c"),
            (KitAdmission.uuidHeader, try admission.own(session)),
        ]
        // What is synced under one key is the next session's of the same: another node's must not be.
        for key in head.headers.all("X-Docker-Expose-Session-Sharedkey").prefix(1) {
            fields.append(("X-Docker-Expose-Session-Sharedkey", "\(admission.origin)-\(key)"))
        }
        for name in ["X-Docker-Expose-Session-Name", SessionMethods.field] {
            fields += head.headers.all(name).map { (name, $0) }
        }
        if let numbers = head.headers.first(SessionMethods.header) {
            guard let methods = SessionMethods.named(numbers) else {
                throw DockerFailure(
                    status: 400, message: "lighter: \(SessionMethods.header) has numbers that are not known")
            }
            fields += methods.map { (SessionMethods.field, $0) }
        }
        var passage = Passage(head: try Self.request("/session", fields, admitted))
        passage.hijacks = true
        if let offer = head.headers.first(PackedStream.header) {
            passage.packing = await packing(offer, admission.origin)
        }
        return passage
    }

    /// What the caller's session before this one left here, where it names that.
    private func packing(_ offer: String, _ origin: NodeID) async -> SessionPacking {
        let name = LayerDigest(offer)
        let memory = await memory(name, of: origin)
        return SessionPacking(memory: memory, ended: remembering(origin, name, memory))
    }

    /// The answer of a build whose caller wants its lines packed, with those of the one before.
    private func pack(_ passage: inout Passage, _ offer: String?, _ origin: NodeID) async throws(DockerFailure) {
        let (isWanted, name) = PackedTrace.read(offer)
        guard isWanted else { return }
        let memory = await memory(name, of: origin)
        do throws(ImageError) {
            let packer = try TracePacker(memory: memory)
            passage.tracePacker = packer
            passage.concluded = { [remember = remembering(origin, name, memory)] in remember(packer.kept) }
        } catch {
            throw DockerFailure(status: 500, message: "lighter: \(error)")
        }
    }

    /// Keeps what a stream leaves behind, in place of what it began with.
    private func remembering(
        _ origin: NodeID, _ name: LayerDigest?, _ memory: ByteBuffer?
    ) -> @Sendable (ByteBuffer) -> Void {
        let shelf = contexts(of: origin)
        return { left in
            guard let shelf, PackedStream.isWorthMore(left, than: memory) else { return }
            NIOThreadPool.singleton.submit { _ in
                let next = ContextFrame.digest(of: left)
                shelf.save(next, left)
                if let name, memory != nil, name != next { shelf.remove(name) }
            }
        }
    }

    /// Off the loop: it may be megabytes, whose digest is looked at, too.
    private func memory(_ name: LayerDigest?, of origin: NodeID) async -> ByteBuffer? {
        guard let name, let shelf = contexts(of: origin) else { return nil }
        return try? await NIOThreadPool.singleton.runIfActive { shelf.load(name) }
    }

    private func contexts(of origin: NodeID) -> ContextCache? {
        configuration.contexts.map { ContextCache(folder: $0, origin: origin) }
    }

    /// Admits a build without names; its bases have names for as long as it lasts.
    func kitBuild(
        _ head: RequestHead, _ admitted: Admitted, _ query: Query
    ) async throws(DockerFailure) -> Passage {
        let admission = try kitAdmission(admitted)
        let passed = try admission.admit(query)
        guard head.framing == .none else {
            throw DockerFailure(status: 400, message: "lighter: BuildKit's context comes by its session, not as a body")
        }
        try checkHeadroom()
        let bases = try KitAdmission.bases(head.headers.all(KitAdmission.basesHeader))
        for base in bases {
            try await checkUse(of: "\(base)", by: admitted.scope)
            noteUse(of: "\(base)")
        }
        let before = await imagesBefore()
        try await self.bases.take(bases)
        do throws(DockerFailure) {
            var passage = Passage(
                head: try Self.request(
                    passed.target("/build"), [("Host", "docker"), ("Content-Length", "0")], admitted))
            passage.rewrite = { [weak self] line in
                // Lines about the build's progress are long, and many.
                if line.readableBytes < 1024, let json = try? JSON.parse(line),
                    json["id"]?.stringValue == "moby.image.id",
                    let image = json["aux"]?["ID"]?.stringValue.flatMap({ LayerDigest($0) })
                {
                    // Not its to remove: a build without a step may be its base image.
                    self?.rights.grant(image, to: admission.origin, .brought)
                    self?.noteBrought(image, before: before)
                }
                return line
            }
            try await pack(&passage, head.headers.first(PackedStream.header), admission.origin)
            passage.ended = { [weak self] in self?.bases.release(bases) }
            return passage
        } catch {
            self.bases.release(bases)
            throw error
        }
    }

    private func kitAdmission(_ admitted: Admitted) throws(DockerFailure) -> KitAdmission {
        guard let ticket = admitted.scope.ticket else {
            throw DockerFailure(status: 403, message: "lighter: a build needs the ticket of a workload")
        }
        try checkBuilds()
        let policy = configuration.policy
        guard policy.maximumMemory == nil, policy.maximumCPUs == nil else {
            throw DockerFailure(
                status: 403,
                message: "lighter: node \(configuration.node) bounds what others use, and BuildKit's builds cannot be")
        }
        return KitAdmission(
            policy: policy, node: configuration.node, origin: ticket.origin, workload: ticket.workload)
    }

    private static func request(
        _ path: String, _ fields: [(String, String)], _ admitted: Admitted
    ) throws(DockerFailure) -> RequestHead {
        do throws(HTTPError) {
            return try RequestHead.make("POST", (admitted.apiVersion.map { "/v\($0)" } ?? "") + path, fields)
        } catch {
            throw DockerFailure(error)
        }
    }
}

/// What of a BuildKit build's parameters is let through.
struct KitAdmission: BuildJudge {
    static let uuidHeader = "X-Docker-Expose-Session-Uuid"
    static let basesHeader = "X-Lighter-Bases"

    let policy: GuardPolicy
    let node: NodeID
    let origin: NodeID
    let workload: WorkloadID

    private static let plain: Set<String> = ["dockerfile", "nocache", "labels", "target"]
    /// What BuildKit has no use for.
    private static let dropped: Set<String> = [
        "version", "q", "rm", "forcerm", "memory", "memswap", "cpushares", "cpuperiod", "cpuquota",
    ]
    /// Arguments that BuildKit heeds itself: another frontend, and which builds share the folders that it caches.
    private static let frontend = "BUILDKIT_SYNTAX"
    private static let cacheNames = "BUILDKIT_CACHE_MOUNT_NS"

    /// The name of a session at the engine: the workload is in it, so that a build finds its own alone.
    func own(_ session: String) throws(DockerFailure) -> String {
        guard (1...128).contains(session.utf8.count), Admission.isReference(session) else {
            throw DockerFailure(
                status: 400, message: "lighter: a session's name is of letters, digits, '_', '.' and '-'")
        }
        return "\(workload.hex)-\(session)"
    }

    /// - Throws: what is not admitted, and why.
    func admit(_ query: Query) throws(DockerFailure) -> Query {
        var passed = Query()
        var seen: Set<String> = []
        for pair in query.pairs {
            try checkOnce(pair.name, &seen)
            switch pair.name {
            case let name where Self.dropped.contains(name): break
            case let name where Self.plain.contains(name): passed.append(name, pair.value)
            case "session": passed.append("session", try own(pair.value))
            case "remote": break
            case "buildargs": break
            case "outputs":
                try check(outputs: pair.value)
                passed.append("outputs", pair.value)
            case "shmsize":
                guard let size = Int64(pair.value), (0...policy.maximumShm.bytes).contains(size) else {
                    throw refusal("shmsize", "at most \(policy.maximumShm) are offered")
                }
                passed.append("shmsize", "\(size)")
            case "networkmode":
                guard ["", "default", "none"].contains(pair.value) else {
                    throw refusal(pair.name, "builds of other nodes have no network but the default one")
                }
                passed.append(pair.name, pair.value)
            case "extrahosts":
                try check(extraHost: pair.value)
                passed.append(pair.name, pair.value)
            default: throw refusal(pair.name, "it is not offered to other nodes")
            }
        }
        guard seen.contains("session"), query.first("remote") == "client-session" else {
            throw refusal("context", "it comes by the caller's own session")
        }
        passed.set("buildargs", try arguments(query.first("buildargs")))
        passed.set("remote", "client-session")
        passed.set("version", "2")
        return passed
    }

    /// Folders that BuildKit caches are found by their names: each node has names of its own.
    private func arguments(_ text: String?) throws(DockerFailure) -> String {
        var arguments = JSONObject()
        if let text, !text.isEmpty, text != "null" {
            guard let given = (try? JSON.parse(Array(text.utf8), rejectDuplicates: true))?.objectValue else {
                throw refusal("buildargs", "they are no object of texts")
            }
            for member in given.members where !member.value.isNull {
                guard member.value.stringValue != nil else { throw refusal("buildargs", "they are no object of texts") }
                guard member.key != Self.frontend else {
                    throw refusal(member.key, "other nodes build with this engine's own frontend")
                }
                arguments[member.key] = member.value
            }
        }
        arguments[Self.cacheNames] = .string("lighter-\(origin)")
        return JSON.object(arguments).text
    }

    /// Files for the caller, which go to it by its session; an image has no name and needs no word.
    private func check(outputs text: String) throws(DockerFailure) {
        let list = (try? JSON.parse(Array(text.utf8), rejectDuplicates: true))?.arrayValue
        guard let list, list.count == 1, let output = list[0].objectValue,
            Set(output.keys).isSubset(of: ["Type", "Attrs"]),
            output["Type"] == "local" || output["Type"] == "tar"
        else { throw refusal("outputs", "an image without a name or files for the caller are all that is made here") }
    }

    static func bases(_ headers: [String]) throws(DockerFailure) -> [LayerDigest] {
        let words = headers.flatMap { $0.split(separator: ",") }
        let bases = words.compactMap { LayerDigest(String($0)) }
        guard bases.count == words.count, bases.count <= BuildBases.limit else {
            throw DockerFailure(
                status: 400, message: "lighter: \(basesHeader) are the ids of at most \(BuildBases.limit) images")
        }
        return bases
    }
}
