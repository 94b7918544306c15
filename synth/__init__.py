"""mocktrial.synth"""
