import DockerAPI
import Engine
import LighterTesting
import Testing

@testable import FrontDoor

@Suite("Exec instances of containers elsewhere")
@NodeLoop
struct ExecBookTests {
    @Test("are known again after a restart, until their container is gone")
    func restart() throws {
        let folder = try ScratchFolder()
        do {
            let book = try ExecBook(journal: Journal(path: folder.file("journal.db")))
            try book.put("e1", containerID: "c1")
            try book.put("e2", containerID: "c2")
            try book.put("e3", containerID: "c1")
            try book.forget(containerID: "c1")
        }
        let book = try ExecBook(journal: Journal(path: folder.file("journal.db")))
        #expect(book["e1"] == nil && book["e2"] == "c2" && book["e3"] == nil)
    }

    @Test("The oldest are forgotten, in the journal too")
    func bound() throws {
        let folder = try ScratchFolder()
        let journal = try Journal(path: folder.file("journal.db"))
        let book = try ExecBook(journal: journal)
        for number in 0...4096 { try book.put("e\(number)", containerID: "c") }
        #expect(book["e0"] == nil && book["e4096"] == "c")
        #expect(try journal.execs().count == 4097 - 1024)
    }

    @Test("are reached where their container runs by a daemon that did not make them")
    func reached() async throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        try ExecBook(journal: Journal(path: path)).put("e1", containerID: Rig.cloud)
        try await Rig.with(journal: path) { rig in
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                request.line == "GET /exec/e1/json" ? .json(["ID": "e1", "Running": true]) : .json([:], status: 404)
            }
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path, route: "web")
            #expect(try await rig.get("/v1.41/exec/e1/json").body.contains(#""Running":true"#))
            await node.stop()
            await away.stop()
        }
    }
}
