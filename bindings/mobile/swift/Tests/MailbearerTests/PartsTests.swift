import Foundation
import Testing

@testable import Mailbearer

/// The small parts: the clock, the inbox, a value that comes once.
@Suite(.timeLimit(.minutes(3)))
struct PartsTests {
    @Test func sleepIsNoticedAndWorkIsNot() {
        let (wall, awake) = (ContinuousClock.now, SuspendingClock.now)
        var detector = SleepDetector()
        // On both clocks, in seconds since the beginning. At the end it was stopped, as by SIGSTOP: both clocks went on.
        let looks = [(30, 30), (100, 60), (130, 90), (330, 290)].map {
            detector.happened(wall: wall + .seconds($0), awake: awake + .seconds($1))
        }
        #expect(looks == [nil, .seconds(40), nil, .seconds(170)])
    }

    @Test func noToleranceMakesAnIdleLate() {
        let tolerances: [Duration] = [.seconds(-1), .zero, .seconds(30), .seconds(29 * 60)].map(Clock.tolerance(of:))
        #expect(tolerances == [.zero, .zero, .seconds(3), .seconds(10)])
    }

    @Test func theClockIsTheMachines() {
        let now = Clock.nowMs
        #expect(Clock.instant(now) <= .now)
        #expect(Clock.instant(now + 60_000) > .now)
        #expect(Duration.seconds(1.5).milliseconds == 1500)
        #expect(Duration.seconds(-1).milliseconds == 0)
    }

    @Test func aFullInboxHoldsTheNetworkBack() async throws {
        let inbox = Inbox()
        inbox.put(Data(count: 65_537))
        let hasRoom = Flag()
        let waiting = Task {
            try await inbox.room()
            hasRoom.set()
        }
        try await Task.sleep(for: .milliseconds(100))
        #expect(!hasRoom.isSet)
        #expect(try await inbox.read().count == 65_537)
        try await waiting.value
        inbox.put(Data(count: 10))
        try await inbox.room()
        inbox.finish(nil)
        #expect(try await inbox.read().count == 10)
        #expect(try await inbox.read().isEmpty)
    }

    @Test func aValueThatComesOnceIsGivenToAll() async throws {
        let pending = Pending<Int>()
        let waiting = (0..<10).map { _ in Task { try await pending.value() } }
        waiting[0].cancel()
        await #expect(throws: CancellationError.self) { try await waiting[0].value }
        pending.resolve(.success(1))
        pending.resolve(.success(2))
        for task in waiting.dropFirst() {
            #expect(try await task.value == 1)
        }
        #expect(try await pending.value() == 1)
    }

    @Test func aTaskThatIsCancelledBeforeItWaitsDoesNotWait() async throws {
        let pending = Pending<Int>()
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await pending.value()
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
