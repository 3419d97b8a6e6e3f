import DockerAPI
import NIOCore
import Testing

@testable import FrontDoor

@Suite("Answers that are made on the device")
struct GreetingTests {
    @Test("A ping has the fields of the engine's own, and the length of what follows", arguments: ["GET", "HEAD"])
    func ping(method: String) throws {
        var greeting = Greeting()
        greeting.learn(
            HTTPHeaders([
                ("Api-Version", "1.41"), ("Ostype", "linux"), ("Server", "Docker/20.10.24"), ("Content-Length", "2"),
                ("Date", "yesterday"),
            ]))
        var bytes = greeting.ping(method).bytes
        var parser = HeadParser<ResponseHead>()
        let head = try #require(try parser.parse(&bytes))
        #expect(head.status == 200)
        #expect(head.headers.first("Server") == "Docker/20.10.24")
        #expect(head.headers.first("Api-Version") == "1.41")
        #expect(head.headers.all("Content-Length") == [method == "HEAD" ? "0" : "2"])
        #expect(head.headers.first("Date") == nil, "yesterday's date is not today's")
        #expect(String(buffer: bytes) == (method == "HEAD" ? "" : "OK"))
        #expect(greeting.apiVersion == APIVersion(major: 1, minor: 41))
    }

    @Test(
        "Versions are numbers, not text",
        arguments: [("1.9", "1.41", true), ("1.41", "1.41", false), ("2.0", "1.50", false)])
    func versions(a: String, b: String, isOlder: Bool) throws {
        #expect((try #require(APIVersion(a)) < (try #require(APIVersion(b)))) == isOlder)
        #expect(APIVersion("1") == nil && APIVersion("x.y") == nil)
    }

    @Test("An early 101 says how the stream is framed", arguments: [(true, "multiplexed"), (false, "raw")])
    func upgraded(multiplexed: Bool, kind: String) throws {
        var bytes = Greeting().upgraded(multiplexed: multiplexed)
        var parser = HeadParser<ResponseHead>()
        let head = try #require(try parser.parse(&bytes))
        #expect(head.status == 101)
        #expect(head.headers.first("Content-Type") == "application/vnd.docker.\(kind)-stream")
    }

    @Test("An engine that would pass over a part of a mount is known to be too old for it")
    func passesOver() throws {
        let old = APIVersion(major: 1, minor: 41)
        let new = APIVersion(major: 1, minor: 45)
        let mounts = [#""VolumeOptions":{"Subpath":"a"}"#, #""bindoptions":{"ReadOnlyForceRecursive":true}"#]
        for mount in mounts {
            let create = try JSON.parse(Array(#"{"HostConfig":{"Mounts":[{"Type":"x",\#(mount)}]}}"#.utf8))
            #expect(old.passesOver(create) != nil && new.passesOver(create) == nil, "\(mount)")
        }
        let plain = #"{"HostConfig":{"Mounts":[{"VolumeOptions":{"Subpath":""},"BindOptions":{"NonRecursive":true}}]}}"#
        #expect(old.passesOver(try JSON.parse(Array(plain.utf8))) == nil)
    }
}
