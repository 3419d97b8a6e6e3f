import DockerAPI
package import Engine
import Fleet
import Images
import Logging
import NIOCore

/// Images that Lighter brought here: told from the owner's by what was there before, and given up when room is short.
extension Guard {
    /// What the engine had before something was brought.
    struct EngineImages: Sendable {
        var ids: Set<LayerDigest> = []
        var names: [String: LayerDigest] = [:]
    }

    /// nil where the engine does not say: then nothing that comes is taken for Lighter's.
    func imagesBefore() async -> EngineImages? {
        guard let list = try? await listedImages() else { return nil }
        var found = EngineImages()
        for image in list {
            found.ids.insert(image.id)
            for name in image.names { found.names[name] = image.id }
        }
        return found
    }

    /// Takes down what has come, unless it was there before or has a name that was.
    func noteBrought(_ image: LayerDigest, name: String? = nil, before: EngineImages?) {
        guard let before, cache[image] != nil || !before.ids.contains(image) else { return }
        let former = name.flatMap { before.names[$0] }
        let isOurs = name.map { former == nil || cache.hasNamed(former, $0) } ?? true
        guard isOurs || cache[image] != nil else { return }
        cache.put(image, name: isOurs ? name : nil, at: now())
        // Unstructured: what brought it does not wait until there is room again. Ends with the engine's answers.
        Task { @NodeLoop in await tidyImages() }
    }

    /// A container of this image is being made.
    func noteUse(of reference: String) {
        for image in cached(reference) {
            cache.used(image, at: now())
            cache.hold(image, until: now() + configuration.imageCacheKeep)
        }
    }

    /// The images of the cache that a reference may mean.
    func cached(_ reference: String) -> [LayerDigest] {
        if let id = LayerDigest(imageID: reference) { return cache[id] == nil ? [] : [id] }
        let name = ImageReference(reference)?.resolved.familiar
        let digits = reference.hasPrefix("sha256:") ? reference.dropFirst(7) : reference[...]
        return cache.entries.filter { image, entry in
            name.map(entry.names.contains) ?? false || !digits.isEmpty && image.hex.hasPrefix(digits)
        }.map(\.key)
    }

    /// An image that only other nodes had brought is nobody else's until it has shown that it holds it too: by sending its
    /// configuration, or by pulling it with what its registry asks for.
    func checkUse(of reference: String, by scope: CallScope) async throws(DockerFailure) {
        await noting?.value
        let images = cached(reference)
        guard images.isEmpty || images.contains(where: { rights.has($0, scope.origin) }) else {
            throw .noSuchImage(reference)
        }
    }

    /// What the engine tells of images: what its owner pulls, loads or tags is the owner's from then on.
    package func note(_ event: EngineEvent) {
        guard event.type == "image", !cache.isEmpty else { return }
        let images: [LayerDigest]
        switch event.action {
        case "tag":
            // What a build's base is called for a while is nobody's word.
            let isOwn = event.attributes["name"]?.hasPrefix(BuildBases.domain) ?? false
            images = isOwn ? [] : cached(event.actorID)
        case "load", "import": images = ownWork.covers("load", at: now()) ? [] : cached(event.actorID)
        case "pull":
            // Podman's have the image's id, with the name beside it.
            let isByID = LayerDigest(imageID: event.actorID) != nil
            let said = isByID ? event.attributes["name"] ?? "" : event.actorID
            let name = ImageReference(said)?.resolved.familiar ?? said
            images = ownWork.covers("pull \(name)", at: now()) ? [] : cached(name)
        default: return
        }
        for image in images { disown(image) }
    }

    private func disown(_ image: LayerDigest) {
        logger.info("an image is the owner's from now on", metadata: ["image": "\(image)"])
        cache.forget(image)
    }

    // MARK: - Room

    /// Looks once a minute until cancelled.
    package func keepImagesBounded() async {
        while !Task.isCancelled {
            await tidyImages()
            do { try await Task.sleep(for: .seconds(60)) } catch { return }
        }
    }

    /// Removes what Lighter brought and nobody uses, until it is within its bound and the disk is not too full.
    /// - Parameter incoming: bytes for which there shall be room besides.
    func tidyImages(incoming: ByteCount = .zero) async {
        let before = tidying
        // Unstructured: one after the other, whoever asks. Ends with the engine's answers.
        let task = Task { @NodeLoop in
            await before?.value
            do throws(DockerFailure) {
                // What was built on another can only go before it.
                for _ in 0..<Self.tidyRounds {
                    guard try await tidyOnce(incoming) else { return }
                }
            } catch {
                logger.debug("images are not tidied", metadata: ["reason": "\(error)"])
            }
        }
        tidying = task
        await task.value
    }

    private static let tidyRounds = 16

    /// - Returns: whether something went, so that a second look may find more.
    private func tidyOnce(_ incoming: ByteCount) async throws(DockerFailure) -> Bool {
        guard !cache.isEmpty else { return false }
        let plan = try await imagePlan()
        cache.release(heldUntil: now() - Self.slowest)
        guard configuration.imageCache != .off else { return false }
        let bound = configuration.imageCache.bytes(dataRoot: inventory.engine?.dataRoot ?? "")
        var hasRemoved = false
        for image in plan.evictions(bound: bound, shortage: diskShortage(incoming)) {
            if try await giveUp(image) { hasRemoved = true }
        }
        return hasRemoved
    }

    /// Bytes by which the disk is fuller than it should be: creates are refused at half of that.
    func diskShortage(_ incoming: ByteCount = .zero) -> Int64 {
        guard let free = freeNow().disk else { return 0 }
        return max(0, 2 * configuration.headroom.disk.bytes + incoming.bytes - free.bytes)
    }

    /// What is there, after what is known of it has been brought in line.
    func imagePlan() async throws(DockerFailure) -> EvictionPlan {
        let known = Array(cache.entries.keys)
        let list = try await listedImages()
        let containers = try await inventory.client.ask("/containers/json?all=1", limit: 32 << 20)?.arrayValue ?? []
        let inUse = Set(containers.compactMap { $0["ImageID"]?.stringValue.flatMap(LayerDigest.init(imageID:)) })
        let listed = Set(list.map(\.id))
        for image in known where !listed.contains(image) { cache.forget(image) }
        for image in list {
            guard let entry = cache[image.id] else { continue }
            if !entry.names.isSuperset(of: image.names) {
                disown(image.id)
            } else if inUse.contains(image.id) {
                cache.used(image.id, at: now())
            }
        }
        let parents = Set(list.compactMap(\.parent))
        // Those with images above them only repeat these.
        let shown = list.filter { cache[$0.id] != nil || !parents.contains($0.id) }
        var plan = EvictionPlan(images: [], sizes: [:])
        do throws(EngineError) {
            layers.forget(allBut: shown.map { "\($0.id)" })
            for image in shown {
                let id = "\(image.id)"
                let chain = Set(try await layers.chain(of: id))
                let entry = cache[image.id]
                if entry != nil {
                    plan.sizes.merge(try await layers.layerSizes(of: id, whole: image.size)) { max($0, $1) }
                }
                plan.images.append(
                    EvictionPlan.Image(
                        id: image.id, layers: chain, usedAt: entry?.usedAt,
                        mayGo: !inUse.contains(image.id) && !parents.contains(image.id) && mayGo(image.id)))
            }
        } catch {
            throw error.failure
        }
        return plan
    }

    /// As far as it can be told without the engine, which has the last word.
    private func mayGo(_ image: LayerDigest) -> Bool {
        guard let entry = cache[image] else { return false }
        let time = now()
        // A slow load may take longer than its sender's question holds what it leaves out.
        let isLoading = ownWork.isUnderway("load")
        return entry.pinned(at: time) == nil && !cache.isHeld(image, at: isLoading ? time - Self.slowest : time)
            && time - entry.usedAt >= configuration.imageCacheKeep && (refusedUntil[image] ?? 0) < time
    }

    /// Never by force: the engine itself refuses what a container or another image needs.
    /// - Returns: whether it is gone.
    private func giveUp(_ image: LayerDigest) async throws(DockerFailure) -> Bool {
        // What was planned may be old.
        guard let shown = try await inventory.client.ask("/images/\(image)/json"), mayGo(image) else { return false }
        let names = EngineImage.names(shown)
        guard cache[image]?.names.isSuperset(of: names) ?? false else { return false }
        // By its names where it has any: an id would take one along that the owner gives it just now.
        for target in names.isEmpty ? ["\(image)"] : names.map({ PercentCoding.encode($0, keeping: "/:@") }) {
            do throws(EngineError) {
                let answer = try await inventory.client.request(
                    "DELETE", "/images/\(target)?noprune=1", timeout: .seconds(120))
                guard answer.status == 200 || answer.status == 404 else {
                    refusedUntil[image] = now() + Self.refusalPatience
                    logger.debug(
                        "an image was not given up", metadata: ["image": "\(image)", "status": "\(answer.status)"])
                    return false
                }
            } catch {
                throw error.failure
            }
        }
        guard try await inventory.client.ask("/images/\(image)/json") == nil else { return false }
        refusedUntil = refusedUntil.filter { $0.value > now() }
        let idle = Int64(now() - (cache[image]?.usedAt ?? now()))
        cache.forget(image)
        logger.notice("an image was given up", metadata: ["image": "\(image)", "unused": "\(idle) s"])
        return true
    }

    /// Seconds that a load may take.
    private static let slowest = 6 * 3600.0

    /// Seconds until an image that the engine kept is tried again.
    private static let refusalPatience = 3600.0

    /// One of the engine's images, as it is listed.
    struct EngineImage: Sendable {
        var id: LayerDigest
        /// As Docker shows them; digests are no names.
        var names: [String]
        var parent: LayerDigest?
        var size: Int64

        static func names(_ json: JSON) -> [String] {
            (json["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).filter { !$0.hasPrefix("<none>") }
                .map { ImageReference($0)?.familiar ?? $0 }
        }
    }

    func listedImages() async throws(DockerFailure) -> [EngineImage] {
        guard let list = try await inventory.client.ask("/images/json?all=1", limit: 32 << 20)?.arrayValue else {
            throw DockerFailure(status: 502, message: "lighter: the engine does not list its images")
        }
        return list.compactMap { json in
            guard let id = json["Id"]?.stringValue.flatMap(LayerDigest.init(imageID:)) else { return nil }
            let parent = json["ParentId"]?.stringValue.flatMap(LayerDigest.init(imageID:))
            return EngineImage(
                id: id, names: EngineImage.names(json), parent: parent, size: json["Size"]?.intValue ?? 0)
        }
    }
}
