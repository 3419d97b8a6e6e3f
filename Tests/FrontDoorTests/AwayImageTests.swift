import DockerAPI
import Fleet
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor
@testable import Images

/// Images that a pull has brought to the node where their container runs.
@Suite("Images that only another node has", .timeLimit(.minutes(1)))
struct AwayImageTests {
    private static let name = "reg:5000/team/app:v1"
    private static let body = #"{"Image":"reg:5000/team/app:v1"}"#
    private static var id: String { "\(HomecomingScene.image.id)" }

    private func with(_ body: @escaping @Sendable (Rig, HomecomingScene) async throws -> Void) async throws {
        try await HomecomingScene.with { rig, scene in
            rig.plane.govern(.remote)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: try? NodeID("cloud1"), reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            try await body(rig, scene)
        }
    }

    /// The docker client's own way: a create that finds no image, a pull, and the create again.
    private func run(_ rig: Rig) async throws -> JSON? {
        #expect(try await rig.post("/containers/create", Self.body).head.hasPrefix("HTTP/1.1 404 "))
        _ = try await rig.post("/images/create?fromImage=reg:5000/team/app&tag=v1")
        let made = try await rig.post("/containers/create", Self.body)
        #expect(made.head.hasPrefix("HTTP/1.1 201 "), "\(made)")
        return try JSON.parse(Array(made.body.utf8))
    }

    private func encoded(_ filters: String) -> String {
        var query = Query()
        query.set("filters", filters)
        return query.encoded
    }

    private func list(_ rig: Rig, _ filters: String = "") async throws -> [JSON] {
        let filters = filters.isEmpty ? "" : "?" + encoded(filters)
        return try JSON.parse(Array(try await rig.get("/images/json\(filters)").body.utf8)).arrayValue ?? []
    }

    @Test("are known by name, id and its beginning, with this device's names only; nothing moves for that")
    func questions() async throws {
        try await with { rig, scene in
            let made = try await run(rig)
            #expect(made?["Warnings"] == [.string(Self.id)], "the container is made of the very image that was pulled")
            for reference in [Self.name, Self.id, String(Self.id.dropFirst(7).prefix(12))] {
                let shown = try await rig.get("/v1.41/images/\(reference)/json")
                let json = try JSON.parse(Array(shown.body.utf8))
                #expect(json["Id"]?.stringValue == Self.id, "\(reference): \(shown)")
                #expect(json["RepoTags"] == [.string(Self.name)])
                #expect(json["RepoDigests"]?.arrayValue?.count == 1)
            }
            let history = try await rig.get("/images/\(Self.name)/history")
            #expect(try JSON.parse(Array(history.body.utf8))[0]?["Tags"] == [.string(Self.name)])
            #expect(try await rig.get("/images/other/json").head.hasPrefix("HTTP/1.1 404 "))
            #expect(scene.state.withLock { $0.asked.isEmpty && $0.here.isEmpty })
        }
    }

    @Test("are listed with the device's own, once, and filtered as those are")
    func listing() async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            let all = try await list(rig)
            #expect(all.count == 2)
            let away = try #require(all.first { $0["Id"]?.stringValue == Self.id })
            #expect(away["RepoTags"] == [.string(Self.name)] && away["Created"]?.intValue == 1_767_323_045)
            let passing = [
                #"{"label":["a=b"]}"#, #"{"label":["a"]}"#, #"{"reference":["reg:5000/team/*"]}"#,
                #"{"reference":["reg:5000/team/app:v1"]}"#, #"{"dangling":["false"]}"#,
            ]
            for filter in passing { #expect(try await list(rig, filter).count == 2, "\(filter)") }
            let failing = [
                #"{"label":["a=c"]}"#, #"{"reference":["team/*"]}"#, #"{"dangling":["true"]}"#,
                #"{"since":["reg:5000/team/app:v1"]}"#,
            ]
            for filter in failing {
                #expect(try await !list(rig, filter).contains { $0["Id"]?.stringValue == Self.id }, "\(filter)")
            }
        }
    }

    @Test("keep their names over a restart, get more of them, and lose them one by one")
    func names() async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            let tagged = try await rig.post("/images/\(Self.name)/tag?repo=mine&tag=v2")
            #expect(tagged.head.hasPrefix("HTTP/1.1 201 "), "\(tagged)")
            #expect(try await rig.post("/images/\(Self.name)/tag?repo=Upper").head.hasPrefix("HTTP/1.1 400 "))
            let listed = try await list(rig).first { $0["Id"]?.stringValue == Self.id }
            #expect(listed?["RepoTags"] == ["mine:v2", .string(Self.name)])

            let journal = await rig.routes.journal
            let again = await ImageBook(journal: journal)
            #expect(await again.find("mine:v2")?.id == HomecomingScene.image.id)

            let first = try await rig.ask("DELETE /images/mine:v2 HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(first.body.contains(#""Untagged":"mine:v2""#) && !first.body.contains("Deleted"))
            let used = try await rig.ask("DELETE /images/\(Self.name) HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(used.head.hasPrefix("HTTP/1.1 409 ") && used.body.contains("is using its referenced image"))
            let last = try await rig.ask("DELETE /images/\(Self.name)?force=1 HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(last.body.contains("Deleted"), "\(last)")
            #expect(try await rig.get("/images/\(Self.name)/json").head.hasPrefix("HTTP/1.1 404 "))
            #expect(try await list(rig).count == 1)
            #expect(scene.state.withLock { $0.asked.isEmpty })
        }
    }

    @Test("come home for what needs their layers, with all their names, and are the engine's from then on")
    func home() async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            _ = try await rig.post("/images/\(Self.name)/tag?repo=mine&tag=v2")
            let saved = try await rig.get("/images/get?names=mine:v2&names=other")
            #expect(saved.body.contains("names=mine:v2&names=other"), "\(saved)")
            scene.state.withLock { state in
                #expect(state.here == [Self.id])
                #expect(Set(state.tags) == ["repo=mine&tag=v2", "repo=reg%3A5000%2Fteam%2Fapp&tag=v1"])
            }
            #expect(await ImageBook(journal: rig.routes.journal).isEmpty)
        }
    }

    @Test(
        "come home to be pushed, by the tag that is named beside the repository or by all", arguments: ["?tag=v1", ""])
    func pushed(tag: String) async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            _ = try await rig.post("/images/reg:5000/team/app/push?tag=v3")
            #expect(scene.state.withLock { $0.here.isEmpty })
            _ = try await rig.post("/images/reg:5000/team/app/push\(tag)")
            #expect(scene.state.withLock { $0.here } == [Self.id])
        }
    }

    @Test("come home for a container that runs here")
    func local() async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            let made = try await rig.post(
                "/containers/create", #"{"Image":"reg:5000/team/app:v1","Labels":{"lighter.policy":"local"}}"#)
            #expect(made.body.contains("e".repeated(64)), "\(made)")
            #expect(scene.state.withLock { $0.here } == [Self.id])
        }
    }

    @Test("are forgotten when their node has lost them: the client pulls again")
    func lost() async throws {
        try await with { rig, scene in
            _ = try await run(rig)
            scene.state.withLock { $0.isThere = false }
            let again = try await rig.post("/containers/create", Self.body)
            #expect(again.head.hasPrefix("HTTP/1.1 404 ") && again.body.contains("No such image: \(Self.name)"))
            #expect(try await rig.get("/images/\(Self.name)/json").head.hasPrefix("HTTP/1.1 404 "))
        }
    }

    @Test("A pull that failed has brought nothing, and an image that the device has gets its name there")
    func exceptions() async throws {
        try await with { rig, scene in
            scene.state.withLock { $0.pullFails = true }
            #expect(try await rig.post("/containers/create", Self.body).head.hasPrefix("HTTP/1.1 404 "))
            _ = try await rig.post("/images/create?fromImage=reg:5000/team/app&tag=v1")
            #expect(await ImageBook(journal: rig.routes.journal).isEmpty)
            scene.state.withLock { state in
                state.pullFails = false
                state.here = [Self.id]
            }
            #expect(try await rig.post("/containers/create", Self.body).head.hasPrefix("HTTP/1.1 404 "))
            _ = try await rig.post("/images/create?fromImage=reg:5000/team/app&tag=v1")
            #expect(await ImageBook(journal: rig.routes.journal).isEmpty)
            #expect(scene.state.withLock { $0.tags } == ["repo=reg%3A5000%2Fteam%2Fapp&tag=v1"])
        }
    }
}
