// Package top is the screen of `status --watch`: builds as lines that a person moves among, sorts and
// filters, with what there is to say of one, its log, and a restart of it. It decides nothing: what it shows
// is a status, and what it asks for is an action of the API.
package top
