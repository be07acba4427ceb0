"""What runs have brought: the store, comparisons, trees and the autopilot, imported studies."""
