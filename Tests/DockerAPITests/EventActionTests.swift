import NIOCore
import Testing

@testable import DockerAPI

@Suite("What engines say in words of their own")
struct EventActionTests {
    /// As Podman 4.3.1 tells of a container's removal.
    private static let removal =
        #"{"status":"remove","id":"7636","from":"localhost/busybox:latest","Type":"container","Action":"remove","#
        + #""Actor":{"ID":"7636","Attributes":{"containerExitCode":"0","image":"localhost/busybox:latest","name":"rmx"}},"#
        + #""scope":"local","time":1795549515,"timeNano":1795549515665424569}"#

    @Test("An event is turned into Docker's words, and nothing else in it changes")
    func canonical() throws {
        let event = try JSON.parse(Array(Self.removal.utf8))
        let said = try #require(EventAction.canonical(event))
        #expect(said["Action"] == "destroy" && said["status"] == "destroy")
        #expect(said["Actor"] == event["Actor"] && said["timeNano"] == event["timeNano"])
        #expect(EventAction.canonical(said) == nil)
    }

    @Test(
        "Actions that both know are left alone, and each kind of thing has its own word for its end",
        arguments: [
            ("die", "container", "die"), ("died", "container", "die"), ("remove", "volume", "destroy"),
            ("remove", "image", "delete"), ("exec_start: remove", "container", "exec_start: remove"),
            ("init", "container", "init"),
        ])
    func actions(action: String, type: String, canonical: String) {
        #expect(EventAction.canonical(action, of: type) == canonical)
    }

    @Test("Filters for events ask each engine in its own words")
    func filters() throws {
        let asked = try DockerFilters(#"{"event":["die","destroy","start"],"label":["a=b"]}"#)
        #expect(asked.forEveryEngine.values("event") == ["die", "destroy", "start", "died", "remove"])
        #expect(asked.forEveryEngine.values("label") == ["a=b"])
        #expect(!DockerFilters().forEveryEngine.contains("event"))
    }

    @Test(
        "A wait that has lost the exit code gets it back, and any other answer stays as it is",
        arguments: [
            (#"{"StatusCode":0,"Error":null}"#, 3, #"{"StatusCode":3,"Error":null}"#),
            (#"{"StatusCode":7,"Error":null}"#, 3, #"{"StatusCode":7,"Error":null}"#),
            (#"{"StatusCode":0}"#, 0, #"{"StatusCode":0}"#), (#"{"StatusCode":0}"#, nil, #"{"StatusCode":0}"#),
            ("no json", 3, "no json"),
        ] as [(String, Int64?, String)])
    func wait(answer: String, exitCode: Int64?, corrected: String) {
        let found = WaitAnswer.correct(ByteBuffer(string: answer + "\n"), exitCode: exitCode)
        #expect(String(buffer: found) == corrected + "\n")
    }
}
