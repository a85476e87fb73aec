// Package intent holds the nouns of Platypus: what people may wish for, how it is written down, and where it lives.
package intent
