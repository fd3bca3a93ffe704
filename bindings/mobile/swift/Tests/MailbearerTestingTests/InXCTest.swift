import Mailbearer
import MailbearerTesting
import XCTest

/// The testing server in XCTest.
final class InXCTest: XCTestCase {
    private var server: Server!

    override func setUp() async throws {
        server = try await Server(flavour: .dovecot, tokenLifetime: .seconds(60))
    }

    override func tearDown() async throws {
        await server.close()
    }

    func testATokenThatHasExpiredIsToBeRefreshed() async throws {
        let token = try server.issueToken(for: "joe@example.org", lifetime: .zero)
        do {
            _ = try await connect(.imap, user: "joe@example.org", token: .fixed(token), options: server.at(.imap))
            XCTFail("it was let in")
        } catch let error as LoginFailed {
            XCTAssertEqual(error.failure.advice, .refreshToken)
        }
    }

    func testALimitOfConnectionsIsKept() async throws {
        let small = try await Server(connectionsMax: 1)
        let token = try TokenSource.fixed(small.issueToken(for: "joe@gmail.com"))
        let first = try await connect(.imap, user: "joe@gmail.com", token: token, options: small.at(.imap))
        do {
            _ = try await connect(.imap, user: "joe@gmail.com", token: token, options: small.at(.imap))
            XCTFail("it was let in")
        } catch let error as LoginFailed {
            XCTAssertEqual(error.failure.cause, .tooManyConnections)
        }
        await first.close()
        await small.close()
    }
}
