"""mocktrial.mocktools"""
