package com.microsoft.identity.client.exception

class MsalUiRequiredException(val errorCode: String, message: String) : Exception(message)
