package org.mailbearer

import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** NOT RUN YET: that the library of this kind of phone is loaded, and answers. */
class LoadsTest {
    @Test
    fun theLibraryAnswers() {
        AccessToken("ya29.token").use { token ->
            assertTrue(AccessToken("ya29.token").use(token::isSame))
            assertFalse(AccessToken("ya29.other").use(token::isSame))
        }
    }
}
