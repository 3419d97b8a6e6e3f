import DockerAPI
import Fleet
import NIOCore
import Testing

@testable import FrontDoor

@Suite("What a remote container is shown as")
struct PresentationTests {
    let presentation: Presentation

    init() throws { presentation = Presentation(origin: try NodeID("edge1")) }

    @Test("The label by which Podman updates is shown as it was asked for, and one that a guard did not set stays")
    func updateLabel() {
        let key = "io.containers.autoupdate"
        #expect(presentation.labels([key: "disabled", "a": "b"], asked: [:]) == ["a": "b"])
        #expect(presentation.labels([key: "disabled"], asked: [key: "registry"]) == [key: "registry"])
        #expect(presentation.labels([key: "local"], asked: [:]) == [key: "local"])
        let event: JSON = ["Actor": ["ID": "c", "Attributes": [key: "disabled", "name": "web.edge1"]]]
        #expect(presentation.event(event)["Actor"]?["Attributes"] == ["name": "web"])
    }

    @Test("A listed container has the name and the image that its user gave")
    func listed() throws {
        let seen = try JSON.parse(
            Array(#"{"Id":"a1","Names":["/web.edge1"],"Image":"sha256:77","Labels":{"io.lighter.image":"nginx"}}"#.utf8)
        )
        let shown = presentation.listed(seen)
        #expect(shown["Names"]?[0]?.stringValue == "/web")
        #expect(shown["Image"]?.stringValue == "nginx")
        #expect(shown["Id"]?.stringValue == "a1")
    }

    @Test("An inspected container, too, and nothing else in it changes")
    func inspected() throws {
        let text =
            #"{"Id":"a1","Name":"/web.edge1","Config":{"Image":"sha256:77","Labels":{"io.lighter.image":"nginx"}},"Image":"sha256:77"}"#
        let shown = presentation.inspected(try JSON.parse(Array(text.utf8)))
        #expect(shown["Name"]?.stringValue == "/web")
        #expect(shown["Config"]?["Image"]?.stringValue == "nginx")
        #expect(shown["Image"]?.stringValue == "sha256:77", "the image's id is the same everywhere")
    }

    @Test("Events name the container as its user does, also when it is renamed")
    func events() throws {
        let text =
            #"{"Type":"container","Action":"rename","from":"sha256:77","Actor":{"ID":"a1","Attributes":{"name":"web2.edge1","oldName":"/web.edge1","image":"sha256:77","io.lighter.image":"nginx"}}}"#
        let shown = presentation.event(try JSON.parse(Array(text.utf8)))
        let attributes = shown["Actor"]?["Attributes"]
        #expect(attributes?["name"]?.stringValue == "web2")
        #expect(attributes?["oldName"]?.stringValue == "/web")
        #expect(attributes?["image"]?.stringValue == "nginx")
        #expect(shown["from"]?.stringValue == "nginx")
    }

    @Test("Statistics name the container with the slash that clients take off, which Podman leaves out")
    func stats() {
        #expect(presentation.stats(["name": "web.edge1"])["name"] == "/web")
        #expect(presentation.stats(["name": "/web.edge1"])["name"] == "/web")
    }

    @Test("A name of another device keeps its suffix", arguments: ["web.edge2", "web", "web.edge10", ".edge11"])
    func foreign(name: String) {
        #expect(presentation.name(name) == name)
    }

    @Test("Bytes that are not JSON pass as they are")
    func opaque() {
        let rewrite = presentation.rewriting(presentation.stats)
        #expect(String(buffer: rewrite(bytes("no json"))) == "no json")
        #expect(
            String(buffer: rewrite(bytes(#"{"name":"/web.edge1","n":1.50}"#))) == "{\"name\":\"/web\",\"n\":1.50}\n")
    }

    @Test("An engine's message is turned into the user's words")
    func messages() {
        #expect(
            presentation.message(#"The container name "/web.edge1" is already in use"#)
                == #"The container name "/web" is already in use"#)
        for (said, meant) in [
            (
                "endpoint with name web.edge1 already exists in network app.edge1",
                "endpoint with name web already exists in network app"
            ),
            ("no web.edge10 and no web.edge1-a", "no web.edge10 and no web.edge1-a"), ("web.edge1.", "web."), ("", ""),
        ] {
            #expect(presentation.message(said) == meant)
        }
    }
}
