import DockerAPI
import Engine
import Images
import NIOCore

/// Names by which BuildKit finds the bases of other nodes' builds: it knows images by names alone.
///
/// They are here for as long as a build needs them. An engine removes an image with its last name, so a name that is done with
/// is first given to an image that holds nothing.
@NodeLoop
final class BuildBases {
    /// A domain that nobody can have: no registry is asked for it.
    nonisolated static let domain = "lighter.invalid/"
    static let repository = domain + "base"
    private static let nothing = domain + "nothing"
    /// Bases of one build.
    nonisolated static let limit = 64

    private let client: DockerClient
    private var users: [LayerDigest: Int] = [:]
    /// Names that are being given up.
    private var releasing: Task<Void, Never>?
    private var hasSwept = false

    init(client: DockerClient) { self.client = client }

    /// Names images for a build; to be followed by `release`.
    /// - Throws: for one that is not here; none is named for the build then.
    func take(_ ids: [LayerDigest]) async throws(DockerFailure) {
        await sweep()
        for id in ids { users[id, default: 0] += 1 }
        await releasing?.value
        do throws(DockerFailure) {
            for id in ids { try await name("\(id)", id.hex) }
        } catch {
            release(ids)
            throw error
        }
    }

    func release(_ ids: [LayerDigest]) {
        var over: [String] = []
        for id in ids {
            users[id, default: 1] -= 1
            guard users[id] == 0 else { continue }
            users[id] = nil
            over.append(id.hex)
        }
        if !over.isEmpty { remove(over) }
    }

    private func name(_ image: String, _ tag: String) async throws(DockerFailure) {
        var query = Query()
        query.set("repo", Self.repository)
        query.set("tag", tag)
        do throws(EngineError) {
            let answer = try await client.request("POST", query.target("/images/\(image)/tag"))
            if answer.status == 404 { throw EngineError(.refused(status: 404), "No such image: \(image)") }
            try answer.checked()
        } catch {
            throw error.failure
        }
    }

    private func remove(_ tags: [String]) {
        let before = releasing
        // Unstructured: a build's end does not wait for it. The engine's answers end it; the next build waits for it.
        releasing = Task { @NodeLoop in
            await before?.value
            let free = tags.filter { tag in !users.keys.contains { $0.hex == tag } }
            guard !free.isEmpty, await makeNothing() else { return }
            for tag in free where (try? await name(Self.nothing, tag)) != nil {
                _ = try? await client.request("DELETE", "/images/\(Self.repository):\(tag)?noprune=1")
            }
            _ = try? await client.request("DELETE", "/images/\(Self.nothing)?noprune=1")
        }
    }

    /// An image without a file.
    private func makeNothing() async -> Bool {
        let archive = ByteBuffer(repeating: 0, count: 1024)
        let answer = try? await client.request(
            "POST", "/images/create?fromSrc=-&repo=\(Self.nothing)", headers: [("Content-Type", "application/x-tar")],
            body: archive)
        return answer?.status == 200
    }

    /// Takes back what a process before this one has left.
    private func sweep() async {
        guard !hasSwept else { return }
        hasSwept = true
        var filters = DockerFilters()
        filters.add("reference", Self.repository)
        var query = Query()
        query.setFilters(filters)
        let list = try? await client.ask(query.target("/images/json"))
        let names = list?.arrayValue?.flatMap { $0["RepoTags"]?.arrayValue ?? [] }.compactMap(\.stringValue) ?? []
        let prefix = Self.repository + ":"
        let left = names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        if !left.isEmpty { remove(left) }
    }
}
