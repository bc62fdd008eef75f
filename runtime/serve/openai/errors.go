// Package openai is the form of answers and errors of OpenAI's API.
package openai

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is an error as the API's clients read it. Param and Code are null where they are empty.
type Error struct {
	Status  int    // of HTTP
	Message string // one sentence
	Type    string
	Param   string // the field at fault
	Code    string
}

// Kinds of errors.
const (
	invalid    = "invalid_request_error"
	overloaded = "rate_limit_error"
	failed     = "server_error"
)

// Error implements error.
func (e *Error) Error() string { return e.Message }

// MarshalJSON writes the object that clients read: {"error": {…}}.
func (e *Error) MarshalJSON() ([]byte, error) {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return Marshal(struct {
		Error inner `json:"error"`
	}{inner{e.Message, e.Type, optional(e.Param), optional(e.Code)}})
}

// Invalid is a request that asks for what cannot be: param names the field.
func Invalid(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: invalid, Param: param, Message: fmt.Sprintf(format, args...)}
}

// Refused is a request that is well formed and refused with a status of its own.
func Refused(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Type: invalid, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Unauthorized is a request without a key that the server knows.
func Unauthorized(message string) *Error {
	return &Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: message}
}

// Overloaded is a request that finds no room.
func Overloaded(format string, args ...any) *Error {
	return &Error{Status: http.StatusTooManyRequests, Type: overloaded, Code: "server_overloaded", Message: fmt.Sprintf(format, args...)}
}

// Unavailable is a request that this server does not answer now.
func Unavailable(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: failed, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Failed is a request that the server failed on.
func Failed(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Type: failed, Code: code, Message: fmt.Sprintf(format, args...)}
}

// As returns err as an Error; any other is the server's own.
func As(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Failed(http.StatusInternalServerError, "internal_error", "%v", err)
}
