internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Images of this device's engine that containers elsewhere were made from: in use, though the engine here cannot know it.
extension FrontDoor {
    /// `DELETE /images/REF`, which an engine refuses for an image that a container uses.
    func planImageRemoval(_ head: RequestHead, _ reference: String, _ query: Query, otherwise: Plan) -> Plan {
        guard !query.flag("force"), engineClient != nil else { return otherwise }
        return .ask { [self] in
            guard let image = await describeImage(reference), let id = image["Id"]?.stringValue,
                let user = routes.all.first(where: { $0.imageID == id })
            else { return otherwise }
            let digest = id.dropFirst("sha256:".count)
            let (short, container) = (digest.prefix(12), user.containerID.prefix(12))
            let isByID = digest.hasPrefix(reference) || id.hasPrefix(reference)
            if !isByID, image["RepoTags"]?.arrayValue?.count ?? 0 > 1 { return otherwise }
            let isRunning = lastStates[user.containerID] == "running"
            let message =
                if !isByID {
                    "conflict: unable to remove repository reference \"\(reference)\" (must force) - "
                        + "container \(container) is using its referenced image \(short)"
                } else if isRunning {
                    "conflict: unable to delete \(short) (cannot be forced) - "
                        + "image is being used by running container \(container)"
                } else {
                    "conflict: unable to delete \(short) (must be forced) - "
                        + "image is being used by stopped container \(container)"
                }
            let failure = DockerFailure(status: 409, message: message)
            return .answer(Answer(failure.response(version: greeting.apiVersion.description)))
        }
    }

    private func describeImage(_ reference: String) async -> JSON? {
        let path = "/images/\(PercentCoding.encode(reference, keeping: "/:@"))/json"
        guard let answer = try? await engineClient?.request("GET", path), answer.status == 200 else { return nil }
        return try? JSON.parse(answer.body)
    }

    /// `POST /images/prune`: the engine's own, unless that could take an image which only containers elsewhere use.
    func pruneImages(_ head: RequestHead, _ query: Query) async -> Job.Outcome {
        await answering {
            guard let engineClient else { return try await locally(head) }
            let used = Set(routes.all.map(\.imageID))
            let filters = try query.filters()
            let takesTagged = ["0", "false"].contains(filters.values("dangling").first)
            var listing = Query()
            var wanted = DockerFilters()
            if !takesTagged { wanted.add("dangling", "true") }
            for label in filters.values("label") { wanted.add("label", label) }
            listing.setFilters(wanted)
            let answer = try await engineClient.request("GET", listing.target("/images/json"))
            guard answer.status == 200, let list = try? JSON.parse(answer.body).arrayValue,
                list.contains(where: { used.contains($0["Id"]?.stringValue ?? "") })
            else { return try await locally(head) }
            let request = try PruneRequest(query, now: now(), beside: ["dangling"])
            var gone: [JSON] = []
            var reclaimed: Int64 = 0
            for image in list where !used.contains(image["Id"]?.stringValue ?? "") && request.admits(image) {
                let removed = try await remove(image)
                gone += removed
                // What its layers share with others is not known here: the size that is its own, as far as it is told.
                if removed.contains(where: { $0["Deleted"] != nil }) {
                    reclaimed += (image["Size"]?.intValue ?? 0) - max(0, image["SharedSize"]?.intValue ?? 0)
                }
            }
            return DockerResponse(
                json: ["ImagesDeleted": gone.isEmpty ? .null : .array(gone), "SpaceReclaimed": .int(reclaimed)])
        }
    }

    /// Removes an image by all of its names, as a prune does; the engine refuses what its own containers use.
    private func remove(_ image: JSON) async throws -> [JSON] {
        let tags = (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).filter { $0 != "<none>:<none>" }
        var lines: [JSON] = []
        for name in tags.isEmpty ? [image["Id"]?.stringValue ?? ""] : tags {
            let path = "/images/\(PercentCoding.encode(name, keeping: "/:@"))"
            guard let answer = try await engineClient?.request("DELETE", path), answer.status == 200 else { break }
            lines += (try? JSON.parse(answer.body))?.arrayValue ?? []
        }
        return lines
    }
}
