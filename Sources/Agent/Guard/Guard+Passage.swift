import DockerAPI
import Engine
import Fleet
import Images
import NIOCore
import Trust

/// From what is admitted to what the engine gets.
extension Guard {
    /// What becomes of an admitted request.
    enum Verdict {
        case passage(Passage)
        /// The guard's own.
        case answer(JSON)
        /// Done, and nothing to say: 204.
        case done
        case produced(Produced)
    }

    /// - Throws: what the caller is answered; nothing is held then.
    func verdict(_ admitted: Admitted, head: RequestHead, body: ByteBuffer) async throws(DockerFailure) -> Verdict {
        switch admitted.admission {
        case .node(let path, let query), .ownList(let path, let query):
            .passage(
                Passage(head: try Passage.head(head, version: admitted.apiVersion, path: path, query: query)))
        case .ownEvents(let query):
            .passage(try ownEvents(head, admitted, query))
        case .ownVolumes(let query):
            .answer(try await ownVolumes(admitted, query))
        case .imageLoad(let query):
            .passage(try await imageLoad(head, admitted, query))
        case .imageInspect(let ref, let query):
            .passage(try await imageInspect(head, admitted, ref, query))
        case .heldImages:
            .answer(try await held(try parsed(body), by: admitted.scope.origin))
        case .imagePin:
            .answer(try await pin(try parsed(body), by: admitted.scope.origin))
        case .missingLayers(let holds):
            .answer(try await missingLayers(body, holds: holds, admitted.scope))
        case .sparseImage:
            .produced(try await sparseImage(body, admitted.scope))
        case .layerOffer:
            .answer(try await offerLayers(try parsed(body), admitted.scope))
        case .layerFetch:
            .produced(try fetchLayers(try parsed(body), admitted.scope))
        case .layerGift:
            .produced(try await giveLayers(try parsed(body), admitted.scope))
        case .layerPlace:
            .answer(try await placeLayer(try parsed(body), admitted.scope))
        case .ownImage(let id, let action, let query):
            .passage(try await ownImage(head, admitted, id, action, query))
        case .pull(let query):
            .passage(try await pull(head, admitted, query))
        case .missingChunks:
            .answer(try missingChunks(body, admitted.scope))
        case .build(let query):
            .passage(
                query.first("version") == "2"
                    ? try await kitBuild(head, admitted, query) : try await build(head, admitted, query))
        case .session:
            .passage(try await session(head, admitted))
        case .commit(let ref, let query):
            .passage(try await commit(head, admitted, ref, query, body))
        case .create(let name, let query):
            .passage(try await create(head, admitted, name, query, body))
        case .container(let ref, .rename, let query):
            try await rename(ref, admitted, query)
        case .container(let ref, .wait, let query):
            try await wait(head, admitted, ref, query, body)
        case .container(let ref, let action, let query):
            .passage(try await container(head, admitted, ref, action, query, body))
        case .exec(let id, let action, let query):
            .passage(try await exec(head, admitted, id, action, query, body))
        case .volumeUsage:
            .answer(try await volumeUsage(of: admitted.scope.origin))
        case .objectCreate(let kind):
            .passage(try await createObject(kind, head, admitted, try parsed(body)))
        case .object(let kind, let ref, let query):
            .passage(try await object(kind, head, admitted, ref, query))
        case .attachment(let network, let action):
            .passage(try await attachment(head, admitted, network, action, try parsed(body)))
        }
    }

    // MARK: - Containers

    private func container(
        _ head: RequestHead, _ admitted: Admitted, _ ref: String, _ action: Admission.ContainerAction, _ query: Query,
        _ body: ByteBuffer
    ) async throws(DockerFailure) -> Passage {
        let (ticket, record) = try await ownContainer(ref, admitted)
        if action == .start { await startClearance(of: ticket.workload) }
        try await checkLease(of: record, for: action)
        if action == .remove, !query.flag("v") { try await noteVolumes(leftBy: record) }
        let path = "/containers/\(record.id)" + (action == .remove ? "" : "/\(action.rawValue)")
        switch action {
        case .update:
            return try checked(head, admitted, path, query, try rebuilt(body, CreateSanitizer.update))
        case .exec:
            var passage = try checked(head, admitted, path, query, try rebuilt(body, CreateSanitizer.exec))
            passage.answered = { [inventory] json in
                if let id = json["Id"]?.stringValue { inventory.noteExec(id, of: record.id) }
            }
            return passage
        case .wait:
            var passage = Passage(head: try Passage.head(head, version: admitted.apiVersion, path: path, query: query))
            if query.first("condition") == "removed" {
                let exitCodes = inventory.exitCodes
                passage.beforeRewriting = { _ = await exitCodes.code(of: record.id) }
                passage.rewrite = { WaitAnswer.correct($0, exitCode: exitCodes.known(record.id)) }
            }
            return passage
        default:
            let streams = action.hasStreamedBody
            var passage = Passage(
                head: try Passage.head(
                    head, version: admitted.apiVersion, path: path, query: query, keepsBody: streams,
                    keepsUpgrade: action.hijacks))
            if streams { passage.body = .streamed(limit: configuration.policy.maximumImage.bytes) }
            passage.hijacks = action.hijacks
            return passage
        }
    }

    /// One that removed itself is known by its end, for whoever asks again after a cut.
    private func wait(
        _ head: RequestHead, _ admitted: Admitted, _ ref: String, _ query: Query, _ body: ByteBuffer
    ) async throws(DockerFailure) -> Verdict {
        if let workload = admitted.scope.ticket?.workload,
            let code = inventory.goneContainers.exitCode(of: ref, workload: workload)
        {
            return .answer(["Error": .null, "StatusCode": .int(code)])
        }
        return .passage(try await container(head, admitted, ref, .wait, query, body))
    }

    private func rename(_ ref: String, _ admitted: Admitted, _ query: Query) async throws(DockerFailure) -> Verdict {
        let (_, record) = try await ownContainer(ref, admitted)
        try await rename(record, to: try Admission.containerName(query.first("name") ?? ""), admitted.apiVersion)
        return .done
    }

    /// The container of the ticket's workload that `ref` means.
    func ownContainer(
        _ ref: String, _ admitted: Admitted
    ) async throws(DockerFailure) -> (Ticket, ContainerRecord) {
        guard let ticket = admitted.scope.ticket,
            let record = try await inventory.container(ref, of: ticket.workload, origin: ticket.origin)
        else { throw .noSuchContainer(ref) }
        guard record.workload.version.epoch <= ticket.epoch else {
            throw DockerFailure(
                status: 409,
                message:
                    "lighter: epoch \(ticket.epoch) of workload \(ticket.workload) is over on node \(configuration.node)"
            )
        }
        return (ticket, record)
    }

    private func exec(
        _ head: RequestHead, _ admitted: Admitted, _ id: String, _ action: String, _ query: Query, _ body: ByteBuffer
    ) async throws(DockerFailure) -> Passage {
        let missing = DockerFailure(status: 404, message: "No such exec instance: \(id)")
        guard let ticket = admitted.scope.ticket, Admission.isReference(id),
            let record = try await inventory.container(ofExec: id), record.workload.id == ticket.workload,
            !record.isLocal
        else { throw missing }
        let isStart = action == "start"
        if isStart { try leases?.checkStands(record) }
        var passage = Passage(
            head: try Passage.head(
                head, version: admitted.apiVersion, path: "/exec/\(id)/\(action)", query: query,
                length: isStart ? body.readableBytes : nil, keepsUpgrade: isStart))
        passage.body = isStart ? .bytes(body) : .none
        passage.hijacks = isStart
        return passage
    }

    private func rebuilt(_ body: ByteBuffer, _ table: FieldTable) throws(DockerFailure) -> JSON {
        .object(
            try table.rebuild(
                try parsed(body), at: "", in: CreateProfile(policy: configuration.policy, node: configuration.node)))
    }

    func parsed(_ body: ByteBuffer) throws(DockerFailure) -> JSON {
        do throws(JSONError) {
            return try JSON.parse(body)
        } catch {
            throw DockerFailure(status: 400, message: "lighter: \(error.description)")
        }
    }

    func checked(
        _ head: RequestHead, _ admitted: Admitted, _ path: String, _ query: Query, _ json: JSON
    ) throws(DockerFailure) -> Passage {
        let bytes = json.buffer
        return Passage(
            head: try Passage.head(
                head, version: admitted.apiVersion, path: path, query: query, length: bytes.readableBytes),
            body: .bytes(bytes))
    }

    // MARK: - Create

    private func create(
        _ head: RequestHead, _ admitted: Admitted, _ name: String?, _ query: Query, _ body: ByteBuffer
    ) async throws(DockerFailure) -> Passage {
        guard let ticket = admitted.scope.ticket else { throw .noSuchContainer(name ?? "") }
        if let record = inventory.index.containers(of: ticket.workload).first(where: {
            $0.workload.version.epoch == ticket.epoch
        }) {
            throw DockerFailure(
                status: 409,
                message: "lighter: workload \(ticket.workload) has its container \(record.id.prefix(12)) on node "
                    + "\(configuration.node) already; remove it first")
        }
        guard beginCreate(ticket.workload) else {
            throw DockerFailure(
                status: 409,
                message: "lighter: workload \(ticket.workload) is being created already; wait for the answer")
        }
        do throws(DockerFailure) {
            return try await preparedCreate(head, admitted, ticket, name, query, body)
        } catch {
            endCreate(ticket)
            throw error
        }
    }

    private func preparedCreate(
        _ head: RequestHead, _ admitted: Admitted, _ ticket: Ticket, _ name: String?, _ query: Query, _ body: ByteBuffer
    ) async throws(DockerFailure) -> Passage {
        let json = try parsed(body)
        var profile = CreateProfile(policy: configuration.policy, node: configuration.node)
        // One that has not been heard yet may be.
        profile.isPodman = inventory.engine?.isPodman ?? true
        for reference in CreateSanitizer.references(in: json) {
            let record = try await inventory.container(reference, origin: ticket.origin, tenant: ticket.tenant)
            profile.ownContainers[reference] = record?.id
            profile.ownNames[reference] = record?.name
        }
        for network in CreateSanitizer.networks(in: json) {
            profile.ownNetworks[network] = try await own(.network, network, ticket.origin)?["Name"]?.stringValue
        }
        for volume in CreateSanitizer.volumes(in: json) {
            profile.ownVolumes[volume] = try await own(.volume, volume, ticket.origin)?["Name"]?.stringValue
        }
        if let folder = configuration.mirrors {
            let request = try CreateRequest(json: json)
            let mirrors = Mirrors(folder: folder, tenant: ticket.tenant, origin: ticket.origin)
            profile.mirrors = mirrors
            profile.files = Set(request.mountedFiles)
            for mount in request.bindMounts where !configuration.policy.hostPaths.contains(mount.source) {
                try mirrors.make(mount.source, isFile: profile.files.contains(mount.source))
            }
        }
        var labels = WorkloadLabels(
            id: ticket.workload, epoch: ticket.epoch, origin: ticket.origin, tenant: ticket.tenant,
            target: configuration.node, name: name ?? "", image: "")
        labels.isExclusive = CreateSanitizer.isExclusive(json)
        if labels.isExclusive { profile.gate = try await gate(for: ticket) }
        let sanitized = try CreateSanitizer(profile: profile).sanitize(json, labels: labels)
        let image = sanitized["Image"]?.stringValue ?? ""
        try await checkUse(of: image, by: admitted.scope)
        noteUse(of: image)
        try checkHeadroom(asked: try CreateRequest(json: sanitized).resources)
        var query = query
        // Never left to the engine: the origin in the name is what an image's own labels cannot bring about.
        let engineName = WorkloadLabels.engineName(
            name ?? "lighter-\(ticket.workload.hex.prefix(12))", origin: ticket.origin)
        query.set("name", engineName)
        var passage = try checked(head, admitted, "/containers/create", query, sanitized)
        passage.answered = { [inventory] json in
            if let id = json["Id"]?.stringValue { inventory.noteCreated(id, name: engineName, body: sanitized) }
        }
        passage.ended = { [weak self] in self?.endCreate(ticket) }
        return passage
    }

    private func endCreate(_ ticket: Ticket) {
        endCreate(ticket.workload)
        leases?.concluded(ticket.workload, epoch: ticket.epoch)
    }
}

extension CreateSanitizer {
    /// The body of `POST /containers/REF/exec`.
    static let exec = FieldTable([
        .text("User"),
        .flag("Privileged") { (flag, path, profile) throws(DockerFailure) in
            guard !flag || profile.policy.allowsPrivileged else {
                throw profile.refusal(path, "offloaded containers run unprivileged", setting: "allow_privileged")
            }
        },
        .flag("Tty"), .flag("AttachStdin"), .flag("AttachStdout"), .flag("AttachStderr"), .flag("Detach"),
        .text("DetachKeys"), .texts("Env"), .text("WorkingDir"), .command("Cmd"), .dropped("Container"),
        .dropped("ConsoleSize"),
    ])
}
